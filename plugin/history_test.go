package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/store/history"
	"github.com/lwaftr/lw4o6/plugin/store/history/eventlog"
)

// remembered waits until the history has an event more.
func remembered(t *testing.T, p *Plugin, before uint64) (sequence uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if s := p.Stats(); s.History.Sequence > before && s.Leases.Store.Outbox == 0 {
			return s.History.Sequence
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no event after %d: %+v", before, p.Stats().History)
		case <-time.After(time.Millisecond): // nothing tells
		}
	}
}

// TestHistory: leases reach the history and the event log, and each event once.
func TestHistory(t *testing.T) {
	dp := newTestDataplane()
	c := leaseConfig(testFolder(t))
	c.History.Events.Path = filepath.Join(filepath.Dir(c.Store.Path), "events.jsonl")
	p, stop := runWith(t, c, dp)
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	l, err := leases.Acquire(t.Context(), lessee("2001:db8:1::b4"))
	if err != nil {
		t.Fatal(err)
	}
	first := remembered(t, p, 0)
	if _, err := history.Open(filepath.Join(filepath.Dir(c.Store.Path), "history"), history.Config{}, p.log); !errors.Is(err, history.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	stop()

	p, stop = runWith(t, c, dp)
	if leases, err = p.Leases(); err != nil {
		t.Fatal(err)
	}
	if err := leases.Release(t.Context(), lessee("2001:db8:1::b4")); err != nil {
		t.Fatal(err)
	}
	run, err := p.present()
	if err != nil {
		t.Fatal(err)
	}
	// It is there at once, also for who asks before the outbox is emptied.
	v, err := view{p, run}.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for h, err := range v.Holds(t.Context(), history.Query{}) {
		n++
		if err != nil || h.Key != l.Key() || h.Subscriber != l.Subscriber || h.End.Kind != history.Released {
			t.Errorf("got %+v, %v; want the hold of %+v", h, err, l)
		}
	}
	if err := v.Close(); err != nil || n != 1 {
		t.Errorf("%d holds, %v", n, err)
	}
	remembered(t, p, first)
	stop()

	f, err := os.Open(c.History.Events.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	for d := json.NewDecoder(f); ; {
		var r eventlog.Record
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Event)
	}
	if want := "allocated released"; strings.Join(got, " ") != want {
		t.Errorf("the event log has %q, want %q", got, want)
	}
}

func TestNoHistory(t *testing.T) {
	p, stop := runWith(t, testConfig(testFolder(t)), newTestDataplane())
	defer stop()
	run, err := p.present()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (view{p, run}).View(t.Context()); !errors.Is(err, control.ErrNoHistory) {
		t.Errorf("a view: %v", err)
	}
	if s := p.Stats(); s.History != nil {
		t.Errorf("stats: %+v", s.History)
	}
}

// TestBadHistory: a history that cannot be used keeps the router from starting.
func TestBadHistory(t *testing.T) {
	for name, tt := range map[string]struct {
		file, content string
		want          error
	}{
		"history":   {"history/manifest", "x", history.ErrCorrupt},
		"event log": {"events.jsonl", "x\n", eventlog.ErrForeign},
	} {
		c := leaseConfig(testFolder(t))
		dir := filepath.Dir(c.Store.Path)
		c.History.Events.Path = filepath.Join(dir, "events.jsonl")
		path := filepath.Join(dir, tt.file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(tt.content), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := newPlugin(t, c, newTestDataplane()).Start(t.Context()); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHistoryProblems(t *testing.T) {
	if p := historyProblems(&history.Stats{}, maxWaiting); len(p) != 0 {
		t.Errorf("all is well, but: %q", p)
	}
	want := []string{
		"the history cannot empty its journal: no space",
		"131073 events of leases wait for the history or the event log; the log says why",
	}
	if p := historyProblems(&history.Stats{Err: errors.New("no space")}, maxWaiting+1); !slices.Equal(p, want) {
		t.Errorf("got %q", p)
	}
}

func TestHistoryConfig(t *testing.T) {
	c := leaseConfig(testFolder(t))
	c.History.Path, c.History.Retention, c.History.Events.MaxSize = "history", time.Minute, 0
	const want = "history.path: \"history\" is not an absolute, clean path\n" +
		"history.retention: 1m0s: want at least 1h0m0s, or 0 to keep everything\n" +
		"history.events.max-size: 0 MiB is not in 1 to 1048576"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
