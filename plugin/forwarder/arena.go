package forwarder

// headroom is the octets kept free before every packet in an arena: an outer
// header and a link header fit.
const headroom = 64

// arenaChunk holds the largest packet there is.
const arenaChunk = 256 << 10

// arena is memory for the packets that a Worker makes within one batch. It
// grows to what the largest batch needed and is used again for the next.
type arena struct {
	chunks [][]byte
	chunk  int // index of the one in use
	used   int // octets used of it
}

// reset frees everything that was allocated.
func (a *arena) reset() { a.chunk, a.used = 0, 0 }

// alloc returns a packet of n octets with headroom, its contents undefined.
func (a *arena) alloc(n int) packet {
	need := headroom + n
	if a.used+need > arenaChunk && len(a.chunks) > 0 {
		a.chunk, a.used = a.chunk+1, 0
	}
	if a.chunk == len(a.chunks) {
		a.chunks = append(a.chunks, make([]byte, arenaChunk))
	}
	buf := a.chunks[a.chunk][a.used : a.used+need : a.used+need]
	a.used += need
	return packet{buf, headroom, need}
}

// packet is the octets buf[start:end], with room before start.
type packet struct {
	buf        []byte
	start, end int
}

func (p packet) bytes() []byte { return p.buf[p.start:p.end] }

// from is the packet without its first n octets, which become room.
func (p packet) from(n int) packet { return packet{p.buf, p.start + n, p.end} }

// trim is the packet cut to n octets.
func (p packet) trim(n int) packet { return packet{p.buf, p.start, p.start + n} }
