package blockfile

import (
	"cmp"
	"errors"
	"hash/crc32"
)

// ErrCorrupt reports a file that is not as it was written: cut short, changed,
// or of something else.
var ErrCorrupt = errors.New("damaged file")

// Position is where an entry stands in its section.
type Position struct{ Major, Minor uint64 }

// Compare orders by Major, then Minor.
func (p Position) Compare(o Position) int {
	return cmp.Or(cmp.Compare(p.Major, o.Major), cmp.Compare(p.Minor, o.Minor))
}

const (
	magic = "lw4o6bf1"
	// fullBlock is when a block is full, in bytes: at least that, and at most
	// one entry more.
	fullBlock = 16 << 10
	maxEntry  = 16 << 10
	maxBlock  = fullBlock + maxEntry
	checksum  = 4 // bytes behind a block
	footer    = 8 + 4 + len(magic)
	indexSize = 24 // bytes of the index for a block
)

// block is where one begins.
type block struct {
	first  Position
	offset uint64
}

func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
