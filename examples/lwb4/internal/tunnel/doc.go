// Package tunnel owns the lwB4's network device: IPv4 goes in on this machine
// and comes out at the AFTR. There are two ways to have one. The kernel's own
// IPv4-in-IPv6 tunnel is the better where the kernel has it. Elsewhere a TUN
// device carries IPv4 to user space, and raw sockets carry IPv6 from there, so
// that the kernel still routes, fragments on receipt, and learns path MTUs.
//
// A tunnel belongs to the network namespace of the thread that opens it.
package tunnel
