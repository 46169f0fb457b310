// Package bolt owns the store in one file: a B+tree file of bbolt, with what
// bbolt leaves open.
//
// Every record carries a checksum over its table, key and content, and the file
// carries the number of records and the sum of their checksums, brought forward
// by each transaction. A file that does not have exactly what was committed last
// is refused when it is opened, whichever of its bytes are wrong.
//
// One goroutine writes. It takes all batches that wait into one transaction, so
// that many callers share its two fsyncs.
//
// After a transaction failed nobody knows what of it is on the disk, and the
// kernel may count as written what it could not write. Before the next one the
// store therefore strikes the failed one out in the file, and opens it anew. For
// the same reason it syncs once more, when it opens a file, what it relies on.
package bolt
