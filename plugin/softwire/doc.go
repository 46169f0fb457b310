// Package softwire owns the Softwire value and the binding table: which lwB4
// holds which port set of which IPv4 address behind which BR address (RFC 7596
// section 6.1), and the invariants that a table keeps whatever is asked of it.
//
// A Table is written by one caller at a time and read by any number without
// locks: a reader takes a Snapshot, which never changes, and each batch of
// changes is in a Snapshot wholly or not at all.
//
// Snapshots share what did not change between them. The softwires are in a trie
// over IPv4 addresses, and again, by hash and key only, in one over lwB4
// addresses; a batch copies the paths to what it changes. So a batch costs the
// same in a small table as in a large one, and the difference of two snapshots
// is found by skipping the parts that they share.
package softwire
