// Package server owns what is answered to a DHCPv6 message (RFC 8415 sections 16
// and 18): prefixes by package delegation, and what a lwB4 has to know of its
// softwire by package s46.
//
// Answer has the form of a handler of coredhcp, which this package does not know.
// Prefixes and softwires are durable, and softwires programmed, before it returns.
// A softwire that is not to be had in time leaves the prefix as it is: the client
// gets that, and is told to ask again soon.
package server
