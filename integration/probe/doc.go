// Package probe owns the traffic of tests and demonstrations: what hosts do
// (downloads, datagrams, ping, traceroute, path MTU discovery) and what an
// attacker sends. It is made of the standard library's sockets, so a machine
// needs no tools for it, and every socket is opened in the network namespace of
// a Node.
package probe
