package reassembly

const maxPayload = 65535 // octets, of an IPv4 packet or after an IPv6 header

// key says which packet a fragment belongs to. The addresses of IPv4 packets
// are in the first four octets.
type key struct {
	b4       [16]byte // the softwire of an inner packet
	src, dst [16]byte
	id       uint32
	family   uint8
	proto    uint8 // IPv4 only
}

// owner is who is charged for an incomplete packet.
type owner struct {
	address     [16]byte
	destination bool // rather than source
	family      uint8
}

// head says how the first fragment of a packet begins.
type head struct {
	header int // octets that begin the whole packet too
	prefix int // octets before the data: header, and an IPv6 Fragment header
	next   int // IPv6: where in the header the Fragment header is announced
}

// piece is one fragment.
type piece struct {
	key    key
	packet []byte // all of it, without padding
	head   head
	start  int   // of its data in the whole packet's
	more   bool  // not the last
	ecn    uint8 // codepoint
	whole  bool  // no fragment at all
}

func (f *piece) data() []byte { return f.packet[f.head.prefix:] }

func (f *piece) end() int { return f.start + len(f.packet) - f.head.prefix }

// keep is what must be held of f: the data, with the headers if it is first.
func (f *piece) keep() []byte {
	if f.start == 0 {
		return f.packet
	}
	return f.data()
}

// atomic reports a Fragment header around a whole packet.
func (f *piece) atomic() bool { return f.start == 0 && !f.more }

// check reports what is wrong with f whatever other fragments say. limit is
// the most octets of data that the protocol allows.
func (f *piece) check(limit int) Cause {
	switch {
	case len(f.data()) == 0:
		return Empty
	// RFC 8200 section 4.5, RFC 791 section 3.2.
	case f.more && len(f.data())%8 != 0:
		return Unaligned
	case f.end() > limit:
		return TooLong
	}
	return 0
}
