package vppdrv

import (
	"fmt"
	"slices"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestUnsupported(t *testing.T) {
	one := func(ip string, a, k uint8, psid uint16, br string) softwire.Softwire {
		set, err := portset.Of(a, k, psid)
		if err != nil {
			t.Fatal(err)
		}
		return softwire.Softwire{IPv4: addr(ip), PortSet: set, B4: addr("2001:db8::1"), BR: addr(br)}
	}
	all := []softwire.Softwire{
		one("192.0.2.1", 0, 6, 1, "2001:db8:ffff::1"),
		one("192.0.2.1", 0, 6, 2, "2001:db8:ffff::2"), // another BR address
		one("192.0.2.1", 0, 4, 3, "2001:db8:ffff::1"), // another psid-len is no problem
		one("192.0.2.2", 0, 0, 0, "2001:db8:ffff::2"),
		one("192.0.2.3", 6, 6, 1, "2001:db8:ffff::1"),
		one("192.0.2.3", 4, 6, 2, "2001:db8:ffff::1"), // another psid-offset
		one("192.0.2.4", 0, 16, 1, "2001:db8:ffff::1"),
	}
	var got []softwire.Softwire
	for s, err := range Unsupported(slices.Values(all)) {
		if err == nil {
			t.Errorf("%s: no reason", s)
		}
		got = append(got, s)
	}
	if want := []softwire.Softwire{all[1], all[5]}; !slices.Equal(got, want) {
		t.Errorf("unsupported: %v, want %v", got, want)
	}
	for range Unsupported(slices.Values(all)) {
		break // ending early is no error
	}
}

func BenchmarkUnsupported(b *testing.B) {
	all := table(100_000)
	b.ReportAllocs()
	for b.Loop() {
		for s, err := range Unsupported(slices.Values(all)) {
			b.Fatal(fmt.Errorf("%s: %w", s, err))
		}
	}
}
