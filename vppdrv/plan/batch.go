package plan

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Reasons why VPP cannot hold a softwire beside others of its address.
var (
	errOtherBR     = errors.New("VPP has one BR address for all softwires of an IPv4 address")
	errOtherOffset = errors.New("VPP has one psid-offset for all softwires of an IPv4 address")
)

// Batch is ops applied to a Model in thought.
type Batch struct {
	model   *Model
	results []dataplane.Result
	ops     []dataplane.Op
	drafts  map[netip.Addr]*draft
	order   []*draft // as they were first touched
}

// draft is what an address is to become.
type draft struct {
	ip      netip.Addr
	old     *domain // nil if the address has no softwires
	changed map[portset.PortSet]change
	count   int // of softwires
	counts  lengthCounts
	br      netip.Addr
	offset  uint8
	whole   bool
}

// change is what happens to one port set; invalid addresses mean no softwire.
type change struct{ from, to netip.Addr }

// Batch applies ops in order, without changing m. Results of ops that VPP can
// execute are Programmed already.
func (m *Model) Batch(ops []dataplane.Op) *Batch {
	b := &Batch{model: m, ops: ops, results: make([]dataplane.Result, len(ops)), drafts: make(map[netip.Addr]*draft)}
	for i, op := range ops {
		switch op.Kind {
		case dataplane.Put:
			b.results[i] = b.put(op.Softwire)
		case dataplane.Remove:
			b.remove(op.Softwire.Key())
		default:
			b.results[i] = unsupported(fmt.Errorf("%s is no operation", op.Kind))
		}
	}
	return b
}

// Results are those of the ops, in their order.
func (b *Batch) Results() []dataplane.Result { return b.results }

// Fail makes the results of all ops on ip Retryable, because of err.
func (b *Batch) Fail(ip netip.Addr, err error) {
	for i, op := range b.ops {
		if op.Softwire.IPv4 == ip && b.results[i].Outcome == dataplane.Programmed {
			b.results[i] = retryable(fmt.Errorf("%s: %w", op.Softwire.Key(), err))
		}
	}
}

// Growth is what VPP has to hold more for one address.
type Growth struct {
	IPv4      netip.Addr
	NewDomain bool // it takes a spare one
	Rules     int
}

// Growth returns what the addresses of the batch grow by, in the order of the
// ops. Addresses that shrink are among them.
func (b *Batch) Growth() []Growth {
	var all []Growth
	for _, d := range b.order {
		g := Growth{IPv4: d.ip, NewDomain: d.old == nil && d.count > 0 && !b.model.ownPool(d.ip)}
		if d.count > 0 && (d.old == nil || d.reshapes()) {
			g.Rules = 1<<d.length() - d.old.slots()
		}
		all = append(all, g)
	}
	return all
}

// Refuse makes the results of all ops on ip Retryable, because of err, and takes
// the address out of the batch.
func (b *Batch) Refuse(ip netip.Addr, err error) {
	b.Fail(ip, err)
	b.order = slices.DeleteFunc(b.order, func(d *draft) bool { return d.ip == ip })
	delete(b.drafts, ip)
}

func unsupported(err error) dataplane.Result {
	return dataplane.Result{Outcome: dataplane.Unsupported, Err: err}
}

func retryable(err error) dataplane.Result {
	return dataplane.Result{Outcome: dataplane.Retryable, Err: err}
}

// draft returns the draft of an address.
func (b *Batch) draft(ip netip.Addr) *draft {
	if d := b.drafts[ip]; d != nil {
		return d
	}
	d := &draft{ip: ip, old: b.model.domains[ip], changed: make(map[portset.PortSet]change)}
	if o := d.old; o != nil {
		d.count, d.counts = len(o.b4s), o.counts
		d.br, d.offset, d.whole = o.br, o.offset, o.whole
	}
	b.drafts[ip] = d
	b.order = append(b.order, d)
	return d
}

// get returns the lwB4 of a port set; it is invalid if there is no softwire.
func (d *draft) get(set portset.PortSet) netip.Addr {
	if c, ok := d.changed[set]; ok {
		return c.to
	}
	if d.old == nil {
		return netip.Addr{}
	}
	return d.old.b4s[set]
}

// set makes b4 the lwB4 of a port set, or nobody.
func (d *draft) set(set portset.PortSet, b4 netip.Addr) {
	had, has := d.get(set).IsValid(), b4.IsValid()
	c, again := d.changed[set]
	if !again && d.old != nil {
		c.from = d.old.b4s[set]
	}
	c.to = b4
	d.changed[set] = c
	length := set.Params().Length()
	switch {
	case has && !had:
		d.count++
		d.counts[length]++
	case had && !has:
		d.count--
		d.counts[length]--
	}
}

func (b *Batch) put(s softwire.Softwire) dataplane.Result {
	if err := s.Validate(); err != nil {
		return unsupported(err)
	}
	d := b.draft(s.IPv4)
	params := s.PortSet.Params()
	present := d.get(s.PortSet).IsValid()
	others := d.count
	if present {
		others--
	}
	if others > 0 {
		switch {
		case !present && d.overlap(s.PortSet).IsValid():
			return retryable(fmt.Errorf("%s: its ports overlap those of the softwire of lwB4 %s: %w",
				s, d.overlap(s.PortSet), softwire.ErrConflict))
		case d.offset != params.Offset():
			return unsupported(fmt.Errorf("%s: psid-offset %d beside %d: %w", s, params.Offset(), d.offset, errOtherOffset))
		case d.br != s.BR:
			return unsupported(fmt.Errorf("%s: beside BR address %s: %w", s, d.br, errOtherBR))
		}
	}
	d.br, d.offset, d.whole = s.BR, params.Offset(), params.Whole()
	d.set(s.PortSet, s.B4)
	return dataplane.Result{Outcome: dataplane.Programmed}
}

func (b *Batch) remove(k softwire.Key) {
	if b.model.domains[k.IPv4] == nil && b.drafts[k.IPv4] == nil {
		return
	}
	b.draft(k.IPv4).set(k.PortSet, netip.Addr{})
}

// overlap returns the lwB4 of a softwire that shares ports with set, another
// one than that of set itself. All sets of an address but those of other
// psid-offsets are nested or disjoint.
func (d *draft) overlap(set portset.PortSet) netip.Addr {
	params := set.Params()
	if d.whole || params.Whole() || params.Offset() != d.offset {
		return d.anyOverlap(set)
	}
	for length, n := range d.counts {
		if n == 0 {
			continue
		}
		// The one set of that psid-len that contains this one, or the many that
		// it contains.
		first, last := 0, 0
		if up := int(params.Length()) - length; up >= 0 {
			first = int(set.PSID()) >> up
			last = first
		} else {
			first = int(set.PSID()) << -up
			last = first | (1<<-up - 1)
		}
		for psid := first; psid <= last; psid++ {
			other, err := portset.Of(d.offset, uint8(length), uint16(psid))
			if err == nil && other != set && d.get(other).IsValid() {
				return d.get(other)
			}
		}
	}
	return netip.Addr{}
}

// anyOverlap is overlap by asking every softwire.
func (d *draft) anyOverlap(set portset.PortSet) netip.Addr {
	for other, b4 := range d.b4s() {
		if other != set && other.Overlaps(set) {
			return b4
		}
	}
	return netip.Addr{}
}

// b4s are the softwires that the address is to have.
func (d *draft) b4s() map[portset.PortSet]netip.Addr {
	all := make(map[portset.PortSet]netip.Addr, d.count)
	if d.old != nil {
		maps.Copy(all, d.old.b4s)
	}
	for set, c := range d.changed {
		if c.to.IsValid() {
			all[set] = c.to
		} else {
			delete(all, set)
		}
	}
	return all
}
