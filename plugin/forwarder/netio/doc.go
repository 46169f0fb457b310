// Package netio owns the way of whole IP packets between kernel devices and a
// function that processes them: TUN devices, AF_PACKET sockets on a named
// interface, and a memory port for tests. It knows nothing of softwires.
//
// A port has one or more queues. A queue is one goroutine with its own file
// descriptors on both sides, its own buffers and its own Processor, so nothing
// on a packet's way is shared or locked, and nothing is allocated.
//
// Segmentation and checksum offload end here: a Processor sees packets as they
// would be on a wire, and what it emits may leave as larger ones that the
// kernel cuts again.
package netio
