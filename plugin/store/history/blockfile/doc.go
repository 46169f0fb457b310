// Package blockfile owns immutable files of sorted entries that are found by
// reading one block. A file has sections; a section has entries in ascending
// order of their Position, packed into blocks of about 16 KiB; what an entry
// consists of is the caller's business. Where each block begins, and with which
// Position, is kept in memory: 24 bytes for each block.
//
//	magic | blocks of section 0 | blocks of section 1 ... | tail | footer
//
// Each block ends with the CRC-32C of what is before it. The tail is the index
// of each section, which has a Position and an offset for each block, and what
// the caller adds. The footer of 20 bytes is the offset and the CRC-32C of the
// tail, and the magic again. Numbers are little-endian.
package blockfile
