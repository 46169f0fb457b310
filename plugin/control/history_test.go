package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

var (
	pastBegins = time.Date(2026, 3, 5, 14, 0, 0, 0, time.UTC)
	pastIPv4   = netip.MustParseAddr("192.0.2.7")
)

// newPast is a router with a history: n subscribers held a port set each for a
// minute, one after the other, and the last one still does.
func newPast(t *testing.T, n int) *fakeRouter {
	t.Helper()
	log := logrus.New()
	log.SetOutput(t.Output())
	l, err := history.Open(t.TempDir(), history.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	var events []history.Event
	for i := range n {
		set, err := portset.Of(6, 6, uint16(i%64))
		if err != nil {
			t.Fatal(err)
		}
		prefix := netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x:100::/56", i))
		e := history.Event{
			Sequence: uint64(2*i + 1), Time: pastBegins.Add(time.Duration(i) * time.Minute), Kind: history.Allocated,
			Key: softwire.Key{IPv4: pastIPv4, PortSet: set},
			Holder: history.Holder{
				Subscriber: prefix, B4: prefix.Addr().Next(), BR: netip.MustParseAddr("2001:db8:ffff::1"),
				Pool: []string{"even", "odd"}[i%2], Mechanism: "pcp", Attributes: "\x01\x02\x00\x03",
			},
		}
		events = append(events, e)
		if i < n-1 {
			e.Sequence++
			e.Time, e.Kind, e.Reason = e.Time.Add(time.Minute), history.Expired, "not renewed"
			events = append(events, e)
		}
	}
	if err := l.Append(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	f := newFake(t, 1)
	f.past = l
	return f
}

func TestWho(t *testing.T) {
	c, _ := serve(t, newPast(t, 3))
	second := pastBegins.Add(time.Minute)
	end := second.Add(time.Minute)
	port := netip.AddrPortFrom(pastIPv4, 1024+16) // of PSID 1
	got, err := c.Who(t.Context(), port, second.In(time.FixedZone("", 3600)))
	if err != nil {
		t.Fatal(err)
	}
	want := &api.Hold{
		Subscriber: netip.MustParsePrefix("2001:db8:1:100::/56"), IPv4: pastIPv4, PSIDOffset: 6, PSIDLen: 6, PSID: 1,
		B4: netip.MustParseAddr("2001:db8:1:100::1"), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		Pool: "odd", Mechanism: "pcp", Attributes: "duid=0003",
		Start: api.Edge{Time: &second, Event: "allocated"}, End: &api.Edge{Time: &end, Event: "expired", Reason: "not renewed"},
	}
	ignore := cmpopts.IgnoreFields(api.Hold{}, "Ports")
	if diff := cmp.Diff(want, got.Hold, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), ignore); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(got.Hold.Ports) != 63 || !got.At.Equal(second) || got.IPv4 != pastIPv4 || got.Port != port.Port() {
		t.Errorf("%d ranges, %+v", len(got.Hold.Ports), got)
	}
	if got, err := c.Who(t.Context(), port, end); err != nil || got.Hold != nil {
		t.Errorf("at its end: %+v, %v", got, err)
	}
	_, err = c.Who(t.Context(), port, pastBegins.Add(-time.Second))
	var e *api.Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound || !strings.Contains(e.Message, "it begins at 2026-03-05T14:00:00Z") {
		t.Errorf("before the history: %v", err)
	}
}

// TestWhoNow: without a time it is the present one.
func TestWhoNow(t *testing.T) {
	_, socket := serve(t, newPast(t, 3))
	status, who := request[api.Who](t, socket, "GET", "/v1/who?ipv4=192.0.2.7&port=1056", "")
	if status != 200 || who.Hold == nil || who.Hold.PSID != 2 || who.Hold.End != nil || time.Since(who.At) > time.Hour {
		t.Errorf("%d, %+v", status, who)
	}
}

func TestHistory(t *testing.T) {
	const n = 200
	c, socket := serve(t, newPast(t, n))
	var all []api.Hold
	for h, err := range c.History(t.Context(), api.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	if len(all) != n {
		t.Fatalf("%d holds", len(all))
	}
	port := uint16(1024 + 16)
	for name, tt := range map[string]struct {
		filter api.HistoryFilter
		want   func(api.Hold) bool
	}{
		"address":           {api.HistoryFilter{IPv4: netip.MustParsePrefix("192.0.2.7/32")}, func(api.Hold) bool { return true }},
		"other address":     {api.HistoryFilter{IPv4: netip.MustParsePrefix("192.0.2.8/32")}, func(api.Hold) bool { return false }},
		"port":              {api.HistoryFilter{Port: &port}, func(h api.Hold) bool { return h.PSID == 1 }},
		"subscriber":        {api.HistoryFilter{Subscriber: netip.MustParsePrefix("2001:db8:5:100::/56")}, func(h api.Hold) bool { return h.B4.String() == "2001:db8:5:100::1" }},
		"subscriber's host": {api.HistoryFilter{Subscriber: netip.MustParsePrefix("2001:db8:5:1ff::9/128")}, func(h api.Hold) bool { return h.B4.String() == "2001:db8:5:100::1" }},
		"lwB4":              {api.HistoryFilter{B4: netip.MustParseAddr("2001:db8:6:100::1")}, func(h api.Hold) bool { return h.Subscriber.String() == "2001:db8:6:100::/56" }},
		"pool":              {api.HistoryFilter{Pool: "odd"}, func(h api.Hold) bool { return h.PSID%2 == 1 }},
		"time": {api.HistoryFilter{From: pastBegins.Add(10 * time.Minute), To: pastBegins.Add(12 * time.Minute)},
			func(h api.Hold) bool {
				return h.Subscriber.Addr().As16()[5] == 10 || h.Subscriber.Addr().As16()[5] == 11
			}},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(h api.Hold) bool { return !tt.want(h) })
		var got []api.Hold
		for h, err := range c.History(t.Context(), tt.filter) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, h)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	var pages []api.Hold
	sizes := 0
	for after := ""; ; sizes++ {
		_, page := request[api.HoldPage](t, socket, "GET", "/v1/history?limit=30"+after, "")
		pages = append(pages, page.Holds...)
		if page.Since == nil || !page.Since.Equal(pastBegins) {
			t.Errorf("since %v", page.Since)
		}
		if page.Next == "" {
			break
		}
		after = "&after=" + page.Next
	}
	if diff := cmp.Diff(all, pages, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" || sizes != 6 {
		t.Errorf("%d pages and the last one: -want +got:\n%s", sizes, diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range c.History(ctx, api.HistoryFilter{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("too late: %v", err)
		}
	}
}

func TestBadHistoryRequests(t *testing.T) {
	_, socket := serve(t, newPast(t, 1))
	for path, want := range map[string]string{
		"/v1/who":                                "want ipv4=, an address, and port=",
		"/v1/who?ipv4=192.0.2.7":                 "want ipv4=, an address, and port=",
		"/v1/who?ipv4=192.0.2.0/24&port=1":       "want ipv4=, an address, and port=",
		"/v1/who?ipv4=192.0.2.7&port=65536":      `parameter port="65536" is malformed`,
		"/v1/who?ipv4=2001:db8::1&port=1":        `parameter ipv4="2001:db8::1" is malformed`,
		"/v1/who?ipv4=192.0.2.7&port=1&at=now":   `parameter at="now" is malformed`,
		"/v1/who?pool=x":                         `parameter "pool" is unknown or given twice`,
		"/v1/history?subscriber=192.0.2.0/24":    `parameter subscriber="192.0.2.0/24" is malformed`,
		"/v1/history?b4=2001:db8::/56":           `parameter b4="2001:db8::/56" is malformed`,
		"/v1/history?from=2026-03-05":            `parameter from="2026-03-05" is malformed`,
		"/v1/history?to=9999-12-31T00:00:00Z":    `parameter to="9999-12-31T00:00:00Z" is malformed`,
		"/v1/history?from=0001-01-01T00:00:00Z":  `parameter from="0001-01-01T00:00:00Z" is malformed`,
		"/v1/history?after=x":                    `parameter after="x" is malformed`,
		"/v1/history?limit=0":                    `parameter limit="0" is malformed`,
		"/v1/history?ipv4=192.0.2.0/33":          `parameter ipv4="192.0.2.0/33" is malformed`,
		"/v1/history?subscriber=fe80::1%25eth0":  `parameter subscriber="fe80::1%eth0" is malformed`,
		"/v1/history?at=2026-03-05T14:00:00.00Z": `parameter "at" is unknown or given twice`,
	} {
		if status, e := request[api.Error](t, socket, "GET", path, ""); status != 400 || e.Message != want {
			t.Errorf("%s: got %d %q, want %q", path, status, e.Message, want)
		}
	}
	_, socket = serve(t, newFake(t, 1))
	for _, path := range []string{"/v1/who?ipv4=192.0.2.7&port=1", "/v1/history"} {
		if status, e := request[api.Error](t, socket, "GET", path, ""); status != 501 || e.Message != ErrNoHistory.Error() {
			t.Errorf("%s without a history: %d %q", path, status, e.Message)
		}
	}
}
