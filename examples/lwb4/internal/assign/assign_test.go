package assign

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

func sets(t *testing.T, texts ...string) (all []portset.PortSet) {
	t.Helper()
	for _, text := range texts {
		s, err := portset.ParsePortSet(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestValidate(t *testing.T) {
	many := make([]string, 17)
	for i := range many {
		many[i] = "0/6/" + string(rune('1'+i%9))
	}
	for _, row := range []struct {
		name, ipv4 string
		sets       []string
		want       error
	}{
		{"one set", "192.0.2.1", []string{"0/6/1"}, nil},
		{"two sets", "192.0.2.1", []string{"0/6/1", "0/6/3"}, nil},
		{"sets of two sizes", "192.0.2.1", []string{"0/6/1", "0/5/1"}, nil},
		{"scattered", "192.0.2.1", []string{"6/8/0"}, nil},
		{"whole address", "192.0.2.1", []string{"0/0/0"}, nil},
		{"empty", "192.0.2.1", nil, ErrEmpty},
		{"too many", "192.0.2.1", many, ErrTooMany},
		{"the same twice", "192.0.2.1", []string{"0/6/1", "0/6/1"}, ErrOverlap},
		{"one within the other", "192.0.2.1", []string{"0/6/2", "0/5/1"}, ErrOverlap},
		{"whole and more", "192.0.2.1", []string{"0/0/0", "0/6/1"}, ErrOverlap},
		{"system ports", "192.0.2.1", []string{"0/6/0"}, ErrSystemPorts},
		{"some system ports", "192.0.2.1", []string{"0/4/0"}, ErrSystemPorts},
		{"IPv6", "2001:db8::1", []string{"0/6/1"}, ErrAddress},
		{"unspecified", "0.0.0.0", []string{"0/6/1"}, ErrAddress},
		{"broadcast", "255.255.255.255", []string{"0/6/1"}, ErrAddress},
		{"of the softwire itself", "192.0.0.2", []string{"0/6/1"}, ErrAddress},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Ports{IPv4: netip.MustParseAddr(row.ipv4), Sets: sets(t, row.sets...)}
			if err := p.Validate(); !errors.Is(err, row.want) {
				t.Errorf("%s: got %v, want %v", p, err, row.want)
			}
		})
	}
}

func TestPorts(t *testing.T) {
	p := Ports{IPv4: netip.MustParseAddr("192.0.2.1"), Sets: sets(t, "0/6/1", "0/6/3")}
	for port, want := range map[uint16]bool{1023: false, 1024: true, 2047: true, 2048: false, 3072: true, 4096: false} {
		if p.Contains(port) != want {
			t.Errorf("port %d: %t, want %t", port, !want, want)
		}
	}
	if p.Count() != 2048 || p.Whole() {
		t.Errorf("%d ports, whole %t", p.Count(), p.Whole())
	}
	turned := Ports{IPv4: p.IPv4, Sets: sets(t, "0/6/3", "0/6/1")}
	fewer := Ports{IPv4: p.IPv4, Sets: sets(t, "0/6/3")}
	elsewhere := Ports{IPv4: p.IPv4.Next(), Sets: p.Sets}
	if !p.Equal(turned) || p.Equal(fewer) || p.Equal(elsewhere) || p.Equal(Ports{}) {
		t.Error("equality")
	}
	if got := p.String(); got != "192.0.2.1 psid 0/6/1 and 0/6/3" {
		t.Error(got)
	}
}
