package reassembly

import "time"

// Arena provides memory for packets that are whole.
type Arena interface {
	// Alloc returns n octets that become one packet, or nil when there are
	// none left. What room lies before them, for an outer header to be put
	// there, is the Arena's affair.
	Alloc(n int) []byte
}

// Result is what became of a fragment, and of others because of it.
type Result struct {
	// Packet is the whole packet, in memory from the Arena, if the fragment
	// made one.
	Packet []byte
	// Fragments is how many Packet was made of, this one included.
	Fragments int
	// Held is set if the fragment is kept until others come. It was dropped if
	// it is neither held nor a part of Packet.
	Held bool
	// Drops is what was given up, the fragment itself or older ones. It is
	// valid until the next call.
	Drops []Drop
}

// Drop is fragments of one packet that were given up.
type Drop struct {
	Cause     Cause
	Fragments int
	// First is set for a Timeout when the fragment with offset zero had come:
	// its beginning, at most 1,232 octets from the IP header on, for an ICMP
	// error (RFC 8200 section 4.5, RFC 792). It is valid until the next call.
	First []byte
	// B4 is the lwB4 that First came from when it was inside a softwire, else
	// zero.
	B4 [16]byte
}

// Usage is how much of its limits a Table uses. RFC 6333 section 6.3 wants the
// operator told before it is all.
type Usage struct {
	Contexts int // incomplete packets, and those whose further fragments are dropped
	Bytes    int // memory for the contents of fragments
}

// Table holds the fragments of incomplete packets. Packets from the Internet
// and packets from lwB4s are best kept in Tables of their own, so that neither
// can displace the other.
type Table struct {
	config Config
	epoch  time.Time // of all times in the table

	keys     index[key]
	contexts []context
	age      []link
	byAge    list

	owners index[owner]
	owned  []list
	peers  [shares][]link

	pool   pool
	pieces []held // of each block that begins a fragment

	drops  []Drop
	quotes []byte
}

// New returns an empty Table. The error wraps ErrConfig.
func New(config Config) (*Table, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	n := config.MaxContexts
	t := &Table{
		config:   config,
		keys:     newIndex[key](n),
		contexts: make([]context, n),
		age:      make([]link, n),
		byAge:    newList(),
		owners:   newIndex[owner](n * shares),
		owned:    make([]list, n*shares),
		pool:     newPool(config.MaxBytes),
		quotes:   make([]byte, 0, (maxExpired+1)*quoteSize),
	}
	t.pieces = make([]held, t.pool.blocks())
	for i := range t.peers {
		t.peers[i] = make([]link, n)
	}
	return t, nil
}

// Usage returns how much is held now.
func (t *Table) Usage() Usage {
	return Usage{Contexts: t.byAge.length, Bytes: t.pool.inUse * blockSize}
}

// IPv6 takes packet, an IPv6 fragment to this node, maybe with extension
// headers before the Fragment header and padding after the packet. The whole
// packet has no Fragment header. A packet that is no fragment is copied as
// it is. The caller keeps packet.
func (t *Table) IPv6(now time.Time, packet []byte, into Arena) Result {
	var f piece
	cause := parse6(packet, &f)
	return t.take(now, &f, cause, into)
}

// IPv4 takes packet, an IPv4 fragment from the Internet whose header checksum
// is right, maybe with padding after it. The whole packet has flags and offset
// zero: DF, which concerned the fragments, is clear, or the packet could never
// be cut again. A packet that is no fragment is copied as it is. The caller
// keeps packet.
func (t *Table) IPv4(now time.Time, packet []byte, into Arena) Result {
	return t.SoftwireIPv4(now, [16]byte{}, packet, into)
}

// SoftwireIPv4 is IPv4 for packets out of the softwire of the lwB4 b4. Packets
// of different lwB4s are never mixed, although several may use the same IPv4
// address.
func (t *Table) SoftwireIPv4(now time.Time, b4 [16]byte, packet []byte, into Arena) Result {
	var f piece
	cause := parse4(packet, b4, &f)
	return t.take(now, &f, cause, into)
}

// Expire gives up packets that were not complete in time, the oldest first and
// at most 16 for each call, so that no call takes long. Every other method
// does so too; Expire is for when no fragment comes.
func (t *Table) Expire(now time.Time) []Drop {
	t.begin(now)
	t.expire(now.Sub(t.epoch))
	return t.drops
}

// begin forgets what the last call returned.
func (t *Table) begin(now time.Time) {
	if t.epoch.IsZero() {
		t.epoch = now
	}
	t.drops = t.drops[:0]
	t.quotes = t.quotes[:0]
}

// take handles the fragment f, which could not be read if there is a cause.
func (t *Table) take(now time.Time, f *piece, cause Cause, into Arena) Result {
	t.begin(now)
	since := now.Sub(t.epoch)
	var r Result
	switch {
	case cause != 0:
		t.drop(cause, 1)
	case f.whole || f.atomic():
		// RFC 6946 section 4: in isolation, whatever else has the same key.
		if r.Packet, cause = t.isolated(f, into); cause != 0 {
			t.drop(cause, 1)
		} else {
			r.Fragments = 1
		}
	default:
		t.add(since, f, into, &r)
	}
	t.expire(since)
	r.Drops = t.drops
	return r
}

// drop reports fragments as given up.
func (t *Table) drop(cause Cause, fragments int) {
	t.drops = append(t.drops, Drop{Cause: cause, Fragments: fragments})
}
