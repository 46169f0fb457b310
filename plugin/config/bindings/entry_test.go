package bindings

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// testPools has a shared pool, one of whole addresses, one big enough for a
// million softwires, and one that static softwires are kept out of.
func testPools(t testing.TB) *pool.Index {
	t.Helper()
	br := netip.MustParseAddr("2001:db8:ffff::1")
	lent := pool.DefaultTerms()
	lent.Mechanisms = []pool.Mechanism{pool.PCP}
	pools := pool.Pools{
		{Name: "shared", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, PSIDOffset: 6, PSIDLen: 8, BR: br},
		{Name: "whole", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, BR: br},
		{Name: "big", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, PSIDLen: 6, BR: br},
		{Name: "lent", Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.128/25")}, PSIDLen: 6, BR: br, Terms: lent},
	}
	if err := pools.Validate(); err != nil {
		t.Fatal(err)
	}
	return pools.Index()
}

func ptr[T any](v T) *T { return &v }

func info(text string) IPv6Info {
	var i IPv6Info
	if err := i.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return i
}

func set(t *testing.T, text string) portset.PortSet {
	t.Helper()
	s, err := portset.ParsePortSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEntrySoftwire(t *testing.T) {
	addr := netip.MustParseAddr
	b4, br := "2001:db8::b4", addr("2001:db8:ffff::1")
	tests := []struct {
		name    string
		entry   Entry
		want    softwire.Softwire
		problem string
		is      error
	}{
		{name: "from the pool", entry: Entry{IPv4: addr("192.0.2.1"), IPv6Info: info(b4), PSID: ptr[uint16](52)},
			want: softwire.Softwire{IPv4: addr("192.0.2.1"), PortSet: set(t, "6/8/52"), B4: addr(b4), BR: br}},
		{name: "whole address", entry: Entry{IPv4: addr("198.51.100.1"), IPv6Info: info(b4)},
			want: softwire.Softwire{IPv4: addr("198.51.100.1"), B4: addr(b4), BR: br}},
		{name: "overrides", entry: Entry{IPv4: addr("192.0.2.1"), IPv6Info: info(b4), PSIDOffset: ptr[uint8](0),
			PSIDLen: ptr[uint8](4), PSID: ptr[uint16](15), BR: addr("2001:db8:ffff::2")},
			want: softwire.Softwire{IPv4: addr("192.0.2.1"), PortSet: set(t, "0/4/15"), B4: addr(b4), BR: addr("2001:db8:ffff::2")}},
		{name: "from a prefix", entry: Entry{IPv4: addr("192.0.2.1"), IPv6Info: info("2001:db8:1:100::/56"), PSID: ptr[uint16](52)},
			want: softwire.Softwire{IPv4: addr("192.0.2.1"), PortSet: set(t, "6/8/52"), B4: addr("2001:db8:1:100:0:c000:201:34"), BR: br}},
		{name: "no pool", entry: Entry{IPv4: addr("203.0.113.1"), IPv6Info: info(b4)},
			problem: "binding-ipv4-addr: 203.0.113.1 is in no pool"},
		{name: "pool for others", entry: Entry{IPv4: addr("203.0.113.128"), IPv6Info: info(b4), PSID: ptr[uint16](2)},
			problem: `binding-ipv4-addr: 203.0.113.128 is in pool "lent", whose mechanisms do not include static`},
		{name: "IPv6 in the IPv4 key", entry: Entry{IPv4: addr(b4), IPv6Info: info(b4)},
			problem: "binding-ipv4-addr: 2001:db8::b4 is in no pool"},
		{name: "no psid", entry: Entry{IPv4: addr("192.0.2.1"), IPv6Info: info(b4)},
			problem: "psid: is missing: with psid-len 8 an address has 256 port sets"},
		{name: "psid too large", entry: Entry{IPv4: addr("192.0.2.1"), IPv6Info: info(b4), PSID: ptr[uint16](256)},
			problem: "psid: psid 256 with psid-len 8: psid does not fit in psid-len bits", is: portset.ErrPSID},
		{name: "psid of a whole address", entry: Entry{IPv4: addr("198.51.100.1"), IPv6Info: info(b4), PSID: ptr[uint16](1)},
			problem: "psid: psid 1 with psid-len 0: psid does not fit in psid-len bits", is: portset.ErrPSID},
		{name: "psid-len too large", entry: Entry{IPv4: addr("192.0.2.1"), IPv6Info: info(b4), PSIDLen: ptr[uint8](11)},
			problem: "psid-len: psid-offset 6, psid-len 11: psid-offset plus psid-len must be at most 16", is: portset.ErrParams},
		{name: "link-local lwB4", entry: Entry{IPv4: addr("198.51.100.1"), IPv6Info: info("fe80::1")}, is: softwire.ErrAddress},
		{name: "BR of the wrong family", entry: Entry{IPv4: addr("198.51.100.1"), IPv6Info: info(b4), BR: addr("192.0.2.1")}, is: softwire.ErrAddress},
		{name: "nothing", entry: Entry{}, problem: "binding-ipv4-addr: invalid IP is in no pool"},
	}
	pools := testPools(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.entry.Softwire(pools)
			if tt.problem == "" && tt.is == nil {
				if err != nil || got != tt.want {
					t.Errorf("got %v, %v; want %v", got, err, tt.want)
				}
				return
			}
			if err == nil {
				t.Fatalf("accepted as %v", got)
			}
			if tt.problem != "" && err.Error() != tt.problem {
				t.Errorf("got %q, want %q", err, tt.problem)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

// TestB4FromPrefix has the layouts of RFC 7596 figure 3 and RFC 7597 section 6
// written out by hand.
func TestB4FromPrefix(t *testing.T) {
	ipv4 := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct{ info, want string }{
		{"2001:db8::/32", "2001:db8:0:0:0:c000:201:34"},
		{"2001:db8:1:2::/64", "2001:db8:1:2:0:c000:201:34"},
		{"2001:db8:1:2:aaaa::/80", "2001:db8:1:2:aaaa:c000:201:34"},
		{"2001:db8:1:2:aaaa:bbbb::/96", "2001:db8:1:2:aaaa:bbbb:201:34"},
		{"2001:db8:1:2:aaaa:bbbb:cccc:dd00/120", "2001:db8:1:2:aaaa:bbbb:cccc:dd34"},
		{"2001:db8:1:2:aaaa:bbbb:cccc:dddc/127", "2001:db8:1:2:aaaa:bbbb:cccc:dddc"},
		{"2001:db8:1:2:aaaa:bbbb:cccc:dddd", "2001:db8:1:2:aaaa:bbbb:cccc:dddd"},
	} {
		t.Run(tt.info, func(t *testing.T) {
			if got, want := info(tt.info).B4(ipv4, 52), netip.MustParseAddr(tt.want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	if got := (IPv6Info{}).B4(ipv4, 0); got.IsValid() {
		t.Errorf("the zero IPv6Info gives %s", got)
	}
}

func FuzzIPv6Info(f *testing.F) {
	for _, s := range []string{"2001:db8::1", "2001:db8::/56", "fe80::1%eth0", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1/64", "", "::/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var i IPv6Info
		if err := i.UnmarshalText([]byte(text)); err != nil {
			return
		}
		out, err := i.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again IPv6Info
		if err := again.UnmarshalText(out); err != nil || again != i {
			t.Errorf("%q becomes %q, which reads as %v, %v", text, out, again, err)
		}
		if b4 := i.B4(netip.MustParseAddr("192.0.2.1"), 7); !i.prefix.Contains(b4) {
			t.Errorf("%q: lwB4 address %s is not in the prefix", text, b4)
		}
	})
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"json", "csv", "yaml", "xml", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got Format
		if err := got.UnmarshalText([]byte(text)); (err == nil) != (text == "json" || text == "csv" || text == "yaml") {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func TestConfigValidate(t *testing.T) {
	addr := netip.MustParseAddr
	c := Config{
		Static: []Entry{
			{IPv4: addr("192.0.2.1"), IPv6Info: info("2001:db8::1"), PSID: ptr[uint16](1)},
			{IPv4: addr("192.0.2.1"), IPv6Info: info("2001:db8::2"), PSID: ptr[uint16](1)},
			{IPv4: addr("192.0.2.1"), IPv6Info: info("2001:db8::3"), PSIDLen: ptr[uint8](7), PSID: ptr[uint16](0)},
			{IPv4: addr("192.0.2.1"), IPv6Info: info("2001:db8:ffff::1"), PSID: ptr[uint16](4)},
			{IPv4: addr("203.0.113.1"), IPv6Info: info("2001:db8::5")},
		},
		Files: []File{{Path: "a.csv"}, {Path: "b.txt"}, {Path: ""}, {Path: "c", Format: "xml"}, {Path: "d.YML"}},
	}
	wantPaths := []string{"static[1]", "static[2]", "static[3]", "static[4].binding-ipv4-addr",
		"files[1].format", "files[2].path", "files[3].format"}
	errs := element.Each(c.Validate(testPools(t)))
	if len(errs) != len(wantPaths) {
		t.Fatalf("%d errors, want %d: %v", len(errs), len(wantPaths), errs)
	}
	for i, err := range errs {
		var e *element.Error
		if !errors.As(err, &e) || e.Path != wantPaths[i] {
			t.Errorf("error %d is %v, want it about %s", i, err, wantPaths[i])
		}
		if i < 3 && !errors.Is(err, softwire.ErrConflict) {
			t.Errorf("%v is not ErrConflict", err)
		}
	}
}
