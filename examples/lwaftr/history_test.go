package main

import (
	"encoding/csv"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// recordPast makes a history in a folder: a port set was held for an hour, and
// then by somebody else until now.
func recordPast(t *testing.T, path string) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(t.Output())
	l, err := history.Open(path, history.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	set, err := portset.Of(6, 6, 2)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 3, 5, 14, 3, 7, 250e6, time.UTC)
	first := history.Event{
		Sequence: 1, Time: begin, Kind: history.Allocated,
		Key: softwire.Key{IPv4: netip.MustParseAddr("192.0.2.7"), PortSet: set},
		Holder: history.Holder{
			Subscriber: netip.MustParsePrefix("2001:db8:1:100::/56"), B4: netip.MustParseAddr("2001:db8:1:100::1"),
			BR: netip.MustParseAddr("2001:db8:ffff::1"), Pool: "p", Mechanism: "pcp", Attributes: "\x01\x02\x00\x03",
		},
	}
	end, second := first, first
	end.Sequence, end.Kind, end.Time = 2, history.Released, begin.Add(time.Hour)
	second.Sequence, second.Time = 3, begin.Add(2*time.Hour)
	second.Subscriber, second.B4 = netip.MustParsePrefix("2001:db8:2:100::/56"), netip.MustParseAddr("2001:db8:2:100::1")
	if err := l.Append(t.Context(), []history.Event{first, end, second}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestHistoryCommands asks the files and the router that has them open: the
// answers are the same.
func TestHistoryCommands(t *testing.T) {
	dir := folder(t)
	files := filepath.Join(dir, "history")
	recordPast(t, files)
	r := start(t, configure(t, dir, "store: {path: "+dir+"/leases.db}\n"), fake.New())
	both := func(code int, args ...string) (out result) {
		t.Helper()
		out = lwaftr(t, append(args, "--files", files)...).want(t, code)
		if other := lwaftr(t, append(args, "--socket", r.socket)...).want(t, code); other.out != out.out || other.errors != out.errors {
			t.Errorf("%q: the files say\n%s%s, the router\n%s%s", args, out.out, out.errors, other.out, other.errors)
		}
		return out
	}

	head := strings.Fields("START END ENDED SUBSCRIBER BINDING-IPV4-ADDR PORTS BINDING-IPV6INFO BR-IPV6-ADDR POOL MECHANISM ATTRIBUTES")
	first := strings.Fields("2026-03-05T14:03:07.250Z 2026-03-05T15:03:07.250Z released 2001:db8:1:100::/56 192.0.2.7 " +
		"1056-1071 and 62 more 2001:db8:1:100::1 2001:db8:ffff::1 p pcp duid=0003")
	second := strings.Fields("2026-03-05T16:03:07.250Z - - 2001:db8:2:100::/56 192.0.2.7 " +
		"1056-1071 and 62 more 2001:db8:2:100::1 2001:db8:ffff::1 p pcp duid=0003")
	for _, tt := range []struct {
		args string
		want [][]string
	}{
		{"who 192.0.2.7:1060 --at 2026-03-05T14:03:08Z", [][]string{head, first}},
		{"who 192.0.2.7:1060 --at 2026-03-05T17:03:07+01:00", [][]string{strings.Fields("nobody held 192.0.2.7 port 1060 at 2026-03-05T17:03:07+01:00")}},
		{"who 192.0.2.7:1060 --at 2026-03-05T18:03:08+01:00", [][]string{head, second}},
		{"who 192.0.2.7:1 --at 2026-03-05T14:03:08Z", [][]string{strings.Fields("nobody held 192.0.2.7 port 1 at 2026-03-05T14:03:08Z")}},
		{"history", [][]string{head, first, second}},
		{"history --subscriber 2001:db8:1:142::7 --ipv4 192.0.2.0/24 --port 1060 --pool p", [][]string{head, first}},
		{"history --b4 2001:db8:2:100::1", [][]string{head, second}},
		{"history --from 2026-03-05T15:04:00Z", [][]string{head, second}},
		{"history --to 2026-03-05T15:04:00Z", [][]string{head, first}},
		{"history --pool q", [][]string{head}},
	} {
		if diff := cmp.Diff(tt.want, cells(both(exitOK, strings.Fields(tt.args)...).out)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.args, diff)
		}
	}
	before := both(exitFailure, "who", "192.0.2.7:1060", "--at", "2026-03-05T14:03:07Z")
	want := []string{"lwaftr: 2026-03-05T14:03:07Z: the history does not go back to that time; it begins at 2026-03-05T14:03:07.25Z"}
	if diff := cmp.Diff(want, before.lines()); diff != "" {
		t.Errorf("before the history: -want +got:\n%s", diff)
	}

	who := decode[api.Who](t, both(exitOK, "who", "192.0.2.7:1060", "--at", "2026-03-05T14:30:00Z", "-o", "json").out)
	if who.Hold == nil || who.Hold.PSID != 2 || who.Hold.End.Event != "released" || who.Hold.Attributes != "duid=0003" {
		t.Errorf("who as JSON: %+v", who)
	}
	if all := decode[[]api.Hold](t, both(exitOK, "history", "-o", "json").out); len(all) != 2 || len(all[0].Ports) != 63 || all[1].End != nil {
		t.Errorf("history as JSON: %+v", all)
	}
	rows, err := csv.NewReader(strings.NewReader(both(exitOK, "history", "-o", "csv").out)).ReadAll()
	if err != nil || len(rows) != 3 || len(strings.Fields(rows[1][5])) != 63 || rows[2][3] != "2001:db8:2:100::/56" {
		t.Errorf("history as CSV: %q, %v", rows, err)
	}
	if out := both(exitOK, "who", "192.0.2.7:1", "-o", "csv").out; out != strings.Join(head, ",")+"\n" {
		t.Errorf("nobody as CSV: %q", out)
	}
	none := filepath.Join(dir, "none")
	if out := lwaftr(t, "history", "--files", none).want(t, exitFailure); !strings.Contains(out.errors, "no such file or directory") {
		t.Errorf("no files: %q", out.errors)
	}
}

// TestWithoutHistory: a router that lends nothing remembers nothing.
func TestWithoutHistory(t *testing.T) {
	dir := folder(t)
	r := start(t, configure(t, dir, ""), fake.New())
	for _, args := range [][]string{{"who", "192.0.2.7:1"}, {"history"}} {
		out := lwaftr(t, append(args, "--socket", r.socket)...).want(t, exitFailure)
		if diff := cmp.Diff([]string{"lwaftr: no history is kept; set store.path in the configuration"}, out.lines()); diff != "" {
			t.Errorf("%q: -want +got:\n%s", args, diff)
		}
	}
}
