package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fill appends n events of w to l, a few at a time.
func fill(t *testing.T, l *Log, w *world, n int) {
	t.Helper()
	for range n {
		w.step()
	}
	for some := range slices.Chunk(w.events[len(w.events)-n:], 37) {
		if err := l.Append(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
}

// tidyAll does what Run would do, and returns how many merges that were.
func tidyAll(t *testing.T, l *Log) (merges int) {
	t.Helper()
	for {
		did, err := l.tidy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !did {
			return merges
		}
		merges++
	}
}

func newTestWorld(t *testing.T) *world {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return newWorld(rand.New(rand.NewPCG(seed, 0)))
}

// openFolder opens a history in a folder of the machine with small limits.
func openFolder(t *testing.T, path string, c Config) *Log {
	t.Helper()
	l, err := open(folder{path, os.O_RDWR}, c, quiet(t), smallLimits())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeAll(t *testing.T, l interface{ Close() error }) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	if _, err := OpenView(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a view of nothing: %v", err)
	}
	if _, err := Open(path, Config{Retention: time.Second}, quiet(t)); err == nil || !strings.Contains(err.Error(), "retention 1s") {
		t.Errorf("a second's retention: %v", err)
	}
	l, err := Open(path, Config{}, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Config{}, quiet(t)); !errors.Is(err, ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	if got := l.Stats(); got != (Stats{Bytes: got.Bytes}) {
		t.Errorf("an empty history: %+v", got)
	}
	v := l.View()
	if h, ok, err := v.Who(t.Context(), allocated().Key.IPv4, 31337, time.Now()); ok || err != nil || !v.Since().IsZero() {
		t.Errorf("an empty history knows %+v, %v since %s", h, err, v.Since())
	}
	closeAll(t, v)
	closeAll(t, l)

	l, err = Open(path, Config{}, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	e := withEvent(allocated(), func(e *Event) { e.Sequence = 7 })
	if err := l.Append(t.Context(), []Event{e}); err != nil {
		t.Fatal(err)
	}
	if got := l.Stats(); got.Sequence != 7 || !got.Latest.Equal(e.Time) || !got.Since.Equal(e.Time) || got.Journal != 1 {
		t.Errorf("one event: %+v", got)
	}
	closeAll(t, l)
}

func TestAppendRefuses(t *testing.T) {
	l := openFolder(t, t.TempDir(), Config{})
	defer closeAll(t, l)
	at := func(sequence uint64, change func(*Event)) Event {
		return withEvent(allocated(), func(e *Event) { e.Sequence = sequence; change(e) })
	}
	nothing := func(*Event) {}
	for name, events := range map[string][]Event{
		"no kind":        {at(1, nothing), at(2, func(e *Event) { e.Kind = 0 })},
		"no time":        {at(1, func(e *Event) { e.Time = time.Time{} })},
		"sequence again": {at(1, nothing), at(1, nothing)},
		"sequence back":  {at(2, nothing), at(1, nothing)},
	} {
		if err := l.Append(t.Context(), events); !errors.Is(err, ErrEvent) || l.Stats().Sequence != 0 {
			t.Errorf("%s: %v; %d is the last one", name, err, l.Stats().Sequence)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, []Event{at(1, nothing)}); !errors.Is(err, context.Canceled) {
		t.Errorf("too late: %v", err)
	}
	// A clock that goes back does not change what was.
	back := at(2, func(e *Event) { e.Kind, e.Time = Released, e.Time.Add(-time.Hour) })
	if err := l.Append(t.Context(), []Event{at(1, nothing), back}); err != nil {
		t.Fatal(err)
	}
	v := l.View()
	defer closeAll(t, v)
	if all := collect(t, v, Query{}); len(all) != 1 || !all[0].End.Time.Equal(all[0].Start.Time) {
		t.Errorf("released before it was allocated: %+v", all)
	}
}

// TestFullJournal: what cannot be made a run stays in the journal up to a limit.
func TestFullJournal(t *testing.T) {
	w := newTestWorld(t)
	d := newFakeDisk()
	limits := smallLimits()
	l, err := open(d, Config{}, quiet(t), limits)
	if err != nil {
		t.Fatal(err)
	}
	d.full = true
	fill(t, l, w, 3*limits.events)
	if got := l.Stats(); got.Err == nil || got.Runs != 0 || got.Journal != 3*limits.events {
		t.Errorf("on a full disk: %+v", got)
	}
	v := l.View()
	defer closeAll(t, v)
	w.compare(t, v, 50)
	l.limits.journal = 0
	if err := l.Append(t.Context(), []Event{w.step()}); !errors.Is(err, ErrFull) || !errors.Is(err, errDisk) {
		t.Errorf("with a full journal: %v", err)
	}
	d.full = false
	l.limits = limits
	if err := l.Append(t.Context(), w.events); err != nil {
		t.Fatal(err)
	}
	if got := l.Stats(); got.Err != nil || got.Runs != 1 || got.Journal != 0 {
		t.Errorf("with space again: %+v", got)
	}
}

// TestRun: what could not be merged is tried again.
func TestRun(t *testing.T) {
	w := newTestWorld(t)
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDisk()
		limits := smallLimits()
		limits.retries = time.Hour
		l, err := open(d, Config{}, quiet(t), limits)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, l, w, 2*limits.fanIn*limits.events)
		before := l.Stats().Runs
		if before < limits.fanIn {
			t.Fatalf("%d runs", before)
		}
		d.full = true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- l.Run(ctx) }()
		synctest.Wait()
		d.full = false
		for l.Stats().Runs == before {
			time.Sleep(time.Minute)
			if time.Since(began) > 2*limits.retries {
				t.Fatalf("not tried again: %+v", l.Stats())
			}
		}
		if waited := time.Since(began); waited < limits.retries || waited > limits.retries+time.Minute {
			t.Errorf("merged after %s", waited)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		v := l.View()
		w.compare(t, v, 50)
		closeAll(t, v)
		closeAll(t, l)
	})
}

// TestSameMoment: more happens to one port set in a millisecond than is in a
// block.
func TestSameMoment(t *testing.T) {
	l := openFolder(t, t.TempDir(), Config{})
	defer closeAll(t, l)
	const n = 3000
	var events []Event
	for i := range uint64(n) {
		e := withEvent(allocated(), func(e *Event) { e.Sequence, e.Reason = 2*i+1, strconv.FormatUint(i, 10) })
		events = append(events, e, withEvent(e, func(e *Event) { e.Sequence, e.Kind = 2*i+2, Released }))
	}
	if err := l.Append(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	tidyAll(t, l)
	v := l.View()
	defer closeAll(t, v)
	if blocks := v.runs[0].blocks.Blocks(sectionRecords); blocks < 3 {
		t.Fatalf("only %d blocks", blocks)
	}
	q := Query{}
	for i, before := 0, -1; i < n; {
		if before == i {
			t.Fatalf("only %d of %d holds", i, n)
		}
		before = i
		for h, err := range v.Holds(t.Context(), q) {
			if err != nil || h.Start.Reason != strconv.Itoa(i) || h.End.Reason != strconv.Itoa(i) {
				t.Fatalf("hold %d is %+v, %v", i, h, err)
			}
			q.After = q.After.Past(h)
			if i++; i%999 == 0 {
				break
			}
		}
	}
}

// TestDamage: a history whose files were changed is not opened, or is as it was,
// or says so when it is asked.
func TestDamage(t *testing.T) {
	w := newTestWorld(t)
	path := t.TempDir()
	l := openFolder(t, path, Config{})
	fill(t, l, w, 2000)
	tidyAll(t, l)
	fill(t, l, w, 20)
	closeAll(t, l)
	all := w.list(time.Time{}, func(Hold) bool { return true })
	noticed := 0
	for range 400 {
		name, content := pick(t, w, path)
		bad := slices.Clone(content)
		switch w.r.IntN(3) {
		case 0:
			bad = bad[:w.r.IntN(len(bad))]
		case 1:
			bad[w.r.IntN(len(bad))] ^= 1 << w.r.IntN(8)
		case 2:
			bad = append(bad, "rubbish"...)
		}
		write(t, filepath.Join(path, name), bad)
		if damaged(t, path, all, strings.HasPrefix(name, "journal")) {
			noticed++
		}
		write(t, filepath.Join(path, name), content)
	}
	if noticed < 200 {
		t.Errorf("only %d of 400 were noticed", noticed)
	}
	if damaged(t, path, all, false) {
		t.Error("damaged though everything is as it was")
	}
}

func pick(t *testing.T, w *world, path string) (name string, content []byte) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	name = entries[w.r.IntN(len(entries))].Name()
	if content, err = os.ReadFile(filepath.Join(path, name)); err != nil {
		t.Fatal(err)
	}
	return name, content
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// damaged reads everything and reports whether damage was noticed. If not, all
// must be there, but that the last events of a journal may have been torn off.
func damaged(t *testing.T, path string, all []Hold, torn bool) bool {
	t.Helper()
	v, err := OpenView(path)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		return true
	}
	defer closeAll(t, v)
	var got []Hold
	for h, err := range v.Holds(t.Context(), Query{}) {
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return true
		}
		got = append(got, h)
	}
	if torn && len(got) > len(all)-20 {
		return false
	}
	same(t, "all holds", all, got)
	return false
}

// TestNoManifest: a folder with files of a history, but no manifest, is not taken
// for an empty one.
func TestNoManifest(t *testing.T) {
	for _, n := range []int{0, 1, 100} {
		path := t.TempDir()
		l := openFolder(t, path, Config{})
		fill(t, l, newTestWorld(t), n)
		closeAll(t, l)
		if err := os.Remove(filepath.Join(path, manifestName)); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path, Config{}, quiet(t))
		if n == 0 && err == nil {
			closeAll(t, l)
			continue
		}
		if n == 0 || !errors.Is(err, ErrCorrupt) {
			t.Errorf("with %d events: %v", n, err)
		}
	}
}

// TestRetention: what is forgotten is deleted, and asking for it is an error.
func TestRetention(t *testing.T) {
	w := newTestWorld(t)
	path := t.TempDir()
	l := openFolder(t, path, Config{Retention: 30 * 24 * time.Hour})
	for range 30 {
		fill(t, l, w, 100)
		tidyAll(t, l)
	}
	v := l.View()
	if since := v.Since(); w.now.Sub(since) > 32*24*time.Hour {
		t.Fatalf("complete since %s, on %s", since, w.now)
	}
	w.compare(t, v, 100)
	since, n := v.Since(), 0
	for _, h := range collect(t, v, Query{}) {
		n++
		if !h.End.Time.IsZero() && h.End.Time.Before(since) {
			t.Fatalf("%+v is still there, of before %s", h, since)
		}
	}
	if n == 0 || n == len(w.holds) {
		t.Errorf("%d of %d holds are left", n, len(w.holds))
	}
	closeAll(t, v)
	closeAll(t, l)
}

// TestReaders: one process writes, others read at the same time.
func TestReaders(t *testing.T) {
	if path := os.Getenv("LW4O6_TEST_HISTORY"); path != "" {
		readAlong(t, path)
		return
	}
	w := newTestWorld(t)
	path := t.TempDir()
	l := openFolder(t, path, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()

	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestReaders$", "-test.v")
	cmd.Env = append(os.Environ(), "LW4O6_TEST_HISTORY="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	reads := 0
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "read ") {
			continue
		}
		reads++
		// In this process, too.
		fill(t, l, w, 200)
		v := l.View()
		w.compare(t, v, 10)
		closeAll(t, v)
	}
	if err := cmd.Wait(); err != nil || reads != 20 {
		t.Errorf("the reader read %d times, %v", reads, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	closeAll(t, l)
}

// readAlong reads everything again and again, while another process appends.
func readAlong(t *testing.T, path string) {
	last := 0
	for range 20 {
		v, err := OpenView(path)
		if err != nil {
			t.Fatal(err)
		}
		n := len(collect(t, v, Query{}))
		closeAll(t, v)
		if n < last {
			t.Fatalf("%d holds, after %d", n, last)
		}
		last = n
		fmt.Println("read", n)
	}
}
