package reassembly

import "bytes"

// blockSize is the unit of memory. A full fragment takes three blocks and
// wastes little, and a tiny one does not take the room of a full one.
const blockSize = 512

// pool is memory for the contents of fragments: chains of blocks, named by the
// number of their first.
type pool struct {
	memory []byte
	next   []uint32 // of each block: the next in its chain, or of the unused
	free   uint32   // first of those that were used before
	fresh  uint32   // blocks from here on were never used
	inUse  int
}

func newPool(size int) pool {
	blocks := size / blockSize
	return pool{
		memory: make([]byte, blocks*blockSize),
		next:   make([]uint32, blocks),
		free:   none,
	}
}

// blocks is how many the pool has.
func (p *pool) blocks() int { return len(p.next) }

// available is how many are not in use.
func (p *pool) available() int { return len(p.next) - p.inUse }

// blocksFor is how many n octets need.
func blocksFor(n int) int { return (n + blockSize - 1) / blockSize }

// store copies b, which is not empty, into a new chain. There must be enough
// blocks available.
func (p *pool) store(b []byte) uint32 {
	first := p.take()
	for at := first; ; at = p.next[at] {
		b = b[copy(p.block(at), b):]
		if len(b) == 0 {
			p.next[at] = none
			return first
		}
		p.next[at] = p.take()
	}
}

// take prefers blocks that were used before: they are likelier in the cache,
// and memory that is never needed is never touched.
func (p *pool) take() uint32 {
	p.inUse++
	if i := p.free; i != none {
		p.free = p.next[i]
		return i
	}
	p.fresh++
	return p.fresh - 1
}

// release gives the chain back.
func (p *pool) release(first uint32) {
	for i := first; i != none; {
		next := p.next[i]
		p.next[i] = p.free
		p.free = i
		p.inUse--
		i = next
	}
}

// load fills dst with what was stored in the chain, from octet skip on.
func (p *pool) load(dst []byte, first uint32, skip int) {
	at := p.seek(first, &skip)
	for len(dst) > 0 {
		dst = dst[copy(dst, p.block(at)[skip:]):]
		at, skip = p.next[at], 0
	}
}

// equal reports whether b is what was stored in the chain, from octet skip on.
func (p *pool) equal(b []byte, first uint32, skip int) bool {
	at := p.seek(first, &skip)
	for len(b) > 0 {
		n := min(len(b), blockSize-skip)
		if !bytes.Equal(b[:n], p.block(at)[skip:skip+n]) {
			return false
		}
		b = b[n:]
		at, skip = p.next[at], 0
	}
	return true
}

// seek returns the block of the chain that octet skip lies in, and lowers skip
// to its place there.
func (p *pool) seek(first uint32, skip *int) uint32 {
	at := first
	for ; *skip >= blockSize; *skip -= blockSize {
		at = p.next[at]
	}
	return at
}

func (p *pool) block(i uint32) []byte {
	return p.memory[int(i)*blockSize:][:blockSize]
}
