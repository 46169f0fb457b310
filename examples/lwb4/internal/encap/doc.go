// Package encap owns what a lwB4 does with one packet at the end of its
// softwire (RFC 7596 section 5.2, RFC 2473): checking, the outer header, the
// traffic class, and the ICMPv4 error for what does not fit. It is pure: bytes
// in, bytes and a Verdict out.
package encap
