package plan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// toy is VPP's MAP plugin as far as plans use it, written from its source: a
// pool of domains that gives out the index that was freed last, and an index by
// IPv4 prefix in which a later domain replaces an earlier one, and deleting
// either takes the entry away.
type toy struct {
	t        *testing.T
	domains  map[uint32]*toyDomain
	freed    []uint32
	next     uint32
	byPrefix map[netip.Prefix]uint32
	steering map[string]bool
	detours  map[netip.Addr]bool
	unsafe   int               // how often a domain had no rules
	after    func(line string) // called after each line, unless nil
}

type toyDomain struct {
	tag            string
	ip4            netip.Prefix
	ip6            netip.Prefix
	br             netip.Addr
	ea             int
	offset, length uint8
	rules          []netip.Addr // nil before the first rule
}

func newToy(t *testing.T) *toy {
	return &toy{
		t: t, domains: make(map[uint32]*toyDomain), byPrefix: make(map[netip.Prefix]uint32),
		steering: make(map[string]bool), detours: make(map[netip.Addr]bool),
	}
}

// run executes lines as VPP does: until one fails.
func (v *toy) run(lines []string) {
	v.t.Helper()
	for _, line := range lines {
		if err := v.line(line); err != nil {
			v.t.Fatalf("%q: %v", line, err)
		}
		v.safe(line)
		if v.after != nil {
			v.after(line)
		}
	}
}

// safe requires that packets of an address whose domain has no rules take a
// detour: VPP would decapsulate anything. Domains of whole pools are made before
// a route leads to them.
func (v *toy) safe(after string) {
	v.t.Helper()
	for _, d := range v.domains {
		if d.rules != nil || d.ea > 0 {
			continue
		}
		v.unsafe++
		if d.ip4.IsSingleIP() && !v.detours[d.ip4.Addr()] && !strings.HasSuffix(d.tag, ":p") {
			v.t.Fatalf("after %q anything from %s is let through", after, d.ip4)
		}
	}
}

func (v *toy) line(line string) error {
	words := strings.Fields(line)
	switch {
	case strings.HasPrefix(line, "map add domain "):
		return v.add(options(words[3:]))
	case strings.HasPrefix(line, "map del domain "):
		return v.delete(number(words[4]))
	case strings.HasPrefix(line, "map add rule "):
		o := options(words[3:])
		return v.rule(number(o["index"]), number(o["psid"]), netip.MustParseAddr(o["ip6-dst"]))
	case words[0] == "detour":
		ip := netip.MustParseAddr(words[2])
		if (words[1] == "+") == v.detours[ip] {
			return fmt.Errorf("detour twice, or none")
		}
		v.detours[ip] = words[1] == "+"
		return nil
	case words[0] == "+":
		v.steering[line[2:]] = true
		return nil
	case words[0] == "-":
		if !v.steering[line[2:]] {
			return fmt.Errorf("not there")
		}
		delete(v.steering, line[2:])
		return nil
	}
	return fmt.Errorf("unknown command")
}

func options(words []string) map[string]string {
	o := make(map[string]string)
	for i := 0; i+1 < len(words); i += 2 {
		o[words[i]] = words[i+1]
	}
	return o
}

func number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

func (v *toy) add(o map[string]string) error {
	d := &toyDomain{
		tag: o["tag"], ip4: netip.MustParsePrefix(o["ip4-pfx"]), ip6: netip.MustParsePrefix(o["ip6-pfx"]),
		br: netip.MustParsePrefix(o["ip6-src"]).Addr(), ea: int(number(o["ea-bits-len"])),
		offset: uint8(number(o["psid-offset"])), length: uint8(number(o["psid-len"])),
	}
	if o["mtu"] == "" || d.offset+d.length > 16 || d.ea > 0 && d.ip6.Bits()+d.ea+int(d.length) > 64 {
		return fmt.Errorf("VPP would take it, but it is wrong")
	}
	if len(d.tag) > 63 {
		return fmt.Errorf("tag of %d characters", len(d.tag))
	}
	if i, taken := v.byPrefix[d.ip4]; taken {
		return fmt.Errorf("domain %d is hidden by it", i)
	}
	index := v.next
	if n := len(v.freed); n > 0 {
		index, v.freed = v.freed[n-1], v.freed[:n-1]
	} else {
		v.next++
	}
	v.domains[index], v.byPrefix[d.ip4] = d, index
	return nil
}

func (v *toy) delete(index uint32) error {
	d := v.domains[index]
	if d == nil {
		return fmt.Errorf("no domain %d", index)
	}
	delete(v.byPrefix, d.ip4)
	delete(v.domains, index)
	v.freed = append(v.freed, index)
	return nil
}

func (v *toy) rule(index, psid uint32, b4 netip.Addr) error {
	d := v.domains[index]
	switch {
	case d == nil:
		return fmt.Errorf("no domain %d", index)
	case d.ea > 0:
		return fmt.Errorf("domain %d has computed addresses", index)
	case psid >= 1<<d.length:
		return fmt.Errorf("psid %d with psid-len %d", psid, d.length)
	}
	if d.rules == nil {
		d.rules = make([]netip.Addr, 1<<d.length)
		for i := range d.rules {
			d.rules[i] = netip.IPv6Unspecified()
		}
	}
	d.rules[psid] = b4
	return nil
}

// find returns the domain for an address: the one with the longest prefix.
func (v *toy) find(ip netip.Addr) *toyDomain {
	for bits := 32; bits >= 0; bits-- {
		p, _ := ip.Prefix(bits)
		if i, ok := v.byPrefix[p]; ok {
			return v.domains[i]
		}
	}
	return nil
}

// to returns where a packet to an address and port goes, and from what outer
// source; the zero address is nowhere.
func (v *toy) to(ip netip.Addr, port uint16) (b4, br netip.Addr) {
	d := v.find(ip)
	if d == nil || d.rules == nil || d.offset > 0 && port < 1<<(16-d.offset) {
		return
	}
	b4 = d.rules[port>>(16-d.offset-d.length)&(1<<d.length-1)]
	if b4.IsUnspecified() {
		return netip.Addr{}, netip.Addr{}
	}
	return b4, d.br
}

// accepts reports whether a packet from an address and port is decapsulated
// when b4 sent it.
func (v *toy) accepts(ip netip.Addr, port uint16, b4 netip.Addr) bool {
	d := v.find(ip)
	if d == nil {
		return false
	}
	if d.ea > 0 {
		return d.ip6.Contains(b4)
	}
	if d.rules == nil || d.length == 0 {
		return true // unchecked
	}
	return d.rules[port>>(16-d.offset-d.length)&(1<<d.length-1)] == b4
}

// found is what reading VPP back yields.
func (v *toy) found() []Domain {
	var all []Domain
	for i, d := range v.domains {
		f := Domain{Index: i, Tag: d.tag, IPv4: d.ip4, BR: d.br, Offset: d.offset, Length: d.length, Rules: make(map[uint16]netip.Addr)}
		for psid, b4 := range d.rules {
			if !b4.IsUnspecified() {
				f.Rules[uint16(psid)] = b4
			}
		}
		all = append(all, f)
	}
	return all
}

// marks is a Steering whose lines the toy keeps in a set.
type marks struct{}

func sign(add bool) string {
	if add {
		return "+"
	}
	return "-"
}

func (marks) Whole(add bool, ip, b4, br netip.Addr) []string {
	return []string{fmt.Sprintf("%s whole %s %s %s", sign(add), ip, b4, br)}
}

func (marks) Shared(add bool, ip, br netip.Addr, offset uint8) []string {
	if offset == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s excluded %s %d", sign(add), ip, offset)}
}

func (marks) Detour(add bool, ip netip.Addr) []string {
	return []string{fmt.Sprintf("detour %s %s", sign(add), ip)}
}

func (marks) Detours(bool) []string { return nil }

// spares gives m and v n spare domains.
func (v *toy) spares(m *Model, n int) *Model {
	v.run(m.MoreSpares(n))
	return Read(m.layout, v.found(), m)
}

func set(a, k uint8, psid uint16) portset.PortSet {
	s, err := portset.Of(a, k, psid)
	if err != nil {
		panic(err)
	}
	return s
}
