// Package journal owns append-only files of frames. A frame is durable before
// the next one is begun, so that what a crash leaves behind is whole frames and
// at most one that is not: the torn tail, which is cut off. A frame that is
// damaged while a whole one follows it was durable once. That is a hole, and
// nobody but the operator can say what to do about it.
//
//	magic | frame | frame ...
//
// A frame is a mark of 4 bytes, the length of its payload, the CRC-32C of length
// and payload (both little-endian, 4 bytes), and the payload.
package journal
