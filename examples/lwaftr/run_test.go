package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
)

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	return v
}

// cells are the rows and columns of a printed table, with what was padded.
func cells(out string) [][]string {
	var rows [][]string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

func TestShow(t *testing.T) {
	dp := fake.New()
	path := configure(t, folder(t), "", "192.0.2.1,1,2001:db8::1", "192.0.2.1,2,2001:db8::2", "192.0.2.2,1,2001:db8::2")
	r := start(t, path, dp)
	var rows []dataplane.SoftwireCounters
	for key := range dp.Held() {
		rows = append(rows, dataplane.SoftwireCounters{Key: key, ToB4: dataplane.Traffic{Packets: 3, Bytes: 4}, FromB4: dataplane.Traffic{Packets: 5, Bytes: 6}})
	}
	dp.SetCounters(dataplane.Counters{
		Granularity:  dataplane.PerSoftwire,
		Encapsulated: dataplane.Traffic{Packets: 7, Bytes: 700},
		Events: []dataplane.Event{
			{Name: "drop-some", Meaning: "some reason", Drop: true, Packets: 9}, {Name: "drop-none", Drop: true},
		},
	}, rows...)
	show := func(args ...string) string {
		t.Helper()
		return lwaftr(t, append(append([]string{"show"}, args...), "-c", path)...).want(t, exitOK).out
	}

	status := decode[api.Status](t, show("status", "-o", "json"))
	if !status.Ready || status.Softwires.Programmed != 3 || status.Dataplane.State != "up" || status.Version == "" {
		t.Errorf("status: %+v", status)
	}
	for _, want := range []string{"fake, up", "3, of which 3 programmed; 0 changes pending, 0 not supported", "ready       yes"} {
		if out := show("status"); !strings.Contains(out, want) {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}

	all := decode[[]api.Softwire](t, show("softwires", "-o", "json"))
	if len(all) != 3 || all[0].PSIDOffset != 6 || all[0].ToB4 != nil {
		t.Errorf("softwires: %+v", all)
	}
	counted := decode[[]api.Softwire](t, show("softwires", "-o", "json", "--counters"))
	if len(counted) != 3 || counted[2].FromB4 == nil || counted[2].FromB4.Bytes != 6 {
		t.Errorf("softwires with counters: %+v", counted)
	}
	if none := decode[[]api.Softwire](t, show("softwires", "-o", "json", "--ipv4", "192.0.2.9")); none == nil || len(none) != 0 {
		t.Errorf("softwires of none: %+v", none)
	}
	want := [][]string{
		strings.Fields("BINDING-IPV4-ADDR PSID-OFFSET PSID-LEN PSID PORTS BINDING-IPV6INFO BR-IPV6-ADDR"),
		strings.Fields("192.0.2.1 6 6 2 1056-1071 and 62 more 2001:db8::2 2001:db8:ffff::1"),
		strings.Fields("192.0.2.2 6 6 1 1040-1055 and 62 more 2001:db8::2 2001:db8:ffff::1"),
	}
	if diff := cmp.Diff(want, cells(show("softwires", "--b4", "2001:db8::2"))); diff != "" {
		t.Errorf("softwires by lwB4: -want +got:\n%s", diff)
	}
	if out := cells(show("softwires", "--counters")); len(out) != 4 || strings.Join(out[1][len(out[1])-5:], " ") != "3 4 5 6 softwire" {
		t.Errorf("softwires with counters: %v", out)
	}

	wantPools := [][]string{
		strings.Fields("NAME PREFIXES PSID-OFFSET PSID-LEN BR-IPV6-ADDR CAPACITY SOFTWIRES"),
		strings.Fields("p 192.0.2.0/24 6 6 2001:db8:ffff::1 16384 3"),
	}
	if diff := cmp.Diff(wantPools, cells(show("pools"))); diff != "" {
		t.Errorf("pools: -want +got:\n%s", diff)
	}

	wantCSV := "NAME,PREFIXES,PSID-OFFSET,PSID-LEN,BR-IPV6-ADDR,CAPACITY,SOFTWIRES\np,192.0.2.0/24,6,6,2001:db8:ffff::1,16384,3\n"
	if out := show("pools", "-o", "csv"); out != wantCSV {
		t.Errorf("pools as CSV:\n%s", out)
	}

	if out := show("counters"); !strings.Contains(out, "drop-some") || !strings.Contains(out, "some reason") || strings.Contains(out, "drop-none") {
		t.Errorf("counters:\n%s", out)
	}
	if out := show("counters", "--all"); !strings.Contains(out, "drop-none") {
		t.Errorf("counters --all:\n%s", out)
	}
	if c := decode[api.Counters](t, show("counters", "-o", "json")); c.Encapsulated.Bytes != 700 || len(c.Events) != 2 {
		t.Errorf("counters: %+v", c)
	}

	trace := lwaftr(t, "trace", "--socket", r.socket, "--side", "ipv4", "--hex", "45").want(t, exitFailure)
	if diff := cmp.Diff([]string{"lwaftr: trace: not supported by this data plane"}, trace.lines()); diff != "" {
		t.Errorf("trace: -want +got:\n%s", diff)
	}
	r.cancel()
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestReload(t *testing.T) {
	dp := fake.New()
	dir := folder(t)
	path := configure(t, dir, "", "192.0.2.1,1,2001:db8::1")
	r := start(t, path, dp)

	configure(t, dir, "log: {level: debug}\n", "192.0.2.1,1,2001:db8::1", "192.0.2.1,2,2001:db8::2")
	out := lwaftr(t, "reload", "-c", path).want(t, exitOK).out
	if out != "reloaded: 1 softwires added or changed, 0 removed; changed: log.level\n" {
		t.Errorf("stdout %q", out)
	}
	r.until(t, "following", func() bool { return len(dp.Held()) == 2 })

	configure(t, dir, "dataplane: {reconcile: {batch-size: 1}}\n")
	bad := lwaftr(t, "reload", "--socket", r.socket).want(t, exitUsage)
	want := []string{
		path + ":5: dataplane.reconcile.batch-size: cannot change while the router runs; restart it",
		"lwaftr: the configuration was not taken; nothing was changed",
	}
	if diff := cmp.Diff(want, bad.lines()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(dp.Held()) != 2 {
		t.Errorf("the data plane has %d softwires after a bad reload", len(dp.Held()))
	}

	// A hangup does the same.
	configure(t, dir, "nonsense: true\n")
	hangup(t)
	r.until(t, "told about the bad file", func() bool {
		return strings.Contains(r.log.String(), path+":5: nonsense: unknown") &&
			strings.Contains(r.log.String(), "the configuration was not taken; nothing was changed")
	})
	if len(dp.Held()) != 2 {
		t.Errorf("the data plane has %d softwires after a bad reload", len(dp.Held()))
	}
	configure(t, dir, "", "192.0.2.9,1,2001:db8::1")
	hangup(t)
	r.until(t, "following", func() bool { return len(dp.Held()) == 1 })
}

// hangup signals this process, in which the router runs.
func hangup(t *testing.T) { signalSelf(t, syscall.SIGHUP) }

func signalSelf(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func TestSignalsStop(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			r := start(t, configure(t, folder(t), ""), fake.New())
			signalSelf(t, s)
			if code := r.wait(t); code != exitOK {
				t.Errorf("exit code %d\n%s", code, r.log)
			}
			if _, err := os.Lstat(r.socket); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket is still there: %v", err)
			}
		})
	}
}

// brokenDataplane fails in the ways a data plane can.
type brokenDataplane struct {
	*fake.Dataplane
	open, run error
	fail      chan struct{}
}

func (b brokenDataplane) Open(context.Context) error { return b.open }
func (b brokenDataplane) Close()                     {}

func (b brokenDataplane) Run(ctx context.Context) error {
	select {
	case <-b.fail:
		return b.run
	case <-ctx.Done():
		return nil
	}
}

func TestRunFails(t *testing.T) {
	cause := errors.New("needs CAP_NET_ADMIN")
	t.Run("at the start", func(t *testing.T) {
		dp := brokenDataplane{Dataplane: fake.New(), open: cause}
		var log buffer
		code := execute(t.Context(), []string{"run", "-c", configure(t, folder(t), "log: {level: error}\n")}, &log, &log, with(dp))
		if code != exitFailure || log.String() != "lwaftr: data plane fake: needs CAP_NET_ADMIN\n" {
			t.Errorf("exit code %d, stderr %q", code, &log)
		}
	})
	t.Run("later", func(t *testing.T) {
		dp := brokenDataplane{Dataplane: fake.New(), run: errors.New("device has gone"), fail: make(chan struct{})}
		r := start(t, configure(t, folder(t), ""), dp)
		close(dp.fail)
		if code := r.wait(t); code != exitFailure || !strings.HasSuffix(r.log.String(), "lwaftr: data plane fake: device has gone\n") {
			t.Errorf("exit code %d, stderr %s", code, r.log)
		}
	})
	t.Run("softwires", func(t *testing.T) {
		dir := folder(t)
		var log buffer
		code := execute(t.Context(), []string{"run", "-c", configure(t, dir, "log: {level: error}\n", "203.0.113.1,1,2001:db8::1")}, &log, &log, with(fake.New()))
		if want := dir + "/s.csv:2: binding-ipv4-addr: 203.0.113.1 is in no pool\n"; code != exitUsage || log.String() != want {
			t.Errorf("exit code %d, stderr %q, want %q", code, &log, want)
		}
	})
	t.Run("a second router", func(t *testing.T) {
		path := configure(t, folder(t), "log: {level: error}\n")
		r := start(t, path, fake.New())
		var log buffer
		code := execute(t.Context(), []string{"run", "-c", path}, &log, &log, with(fake.New()))
		want := "lwaftr: control socket " + r.socket + ": another process listens on it; is a router running already?\n"
		if code != exitFailure || log.String() != want {
			t.Errorf("exit code %d, stderr %q, want %q", code, &log, want)
		}
	})
}
