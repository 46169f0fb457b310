package eventlog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

func event(t testing.TB, sequence uint64) history.Event {
	t.Helper()
	set, err := portset.Of(0, 6, uint16(sequence%64))
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_772_719_387_123).UTC().Add(time.Duration(sequence) * time.Minute)
	e := history.Event{
		Sequence: sequence, Time: at, Kind: history.Allocated,
		Key: softwire.Key{IPv4: netip.MustParseAddr("192.0.2.7"), PortSet: set},
		Holder: history.Holder{
			Subscriber: netip.MustParsePrefix("2001:db8:1:100::/56"), B4: netip.MustParseAddr("2001:db8:1:100::1"),
			BR: netip.MustParseAddr("2001:db8:ffff::1"), Pool: "residential", Mechanism: "pcp",
		},
	}
	if sequence%2 == 0 {
		e.Kind, e.Start, e.Reason = history.Released, at.Add(-time.Hour), "given \"back\"\n"
	}
	return e
}

func events(t testing.TB, from, to uint64) (all []history.Event) {
	for n := from; n <= to; n++ {
		all = append(all, event(t, n))
	}
	return all
}

// written reads all files of a log, the oldest first.
func written(t *testing.T, l *Log) (all []Record) {
	t.Helper()
	files, err := l.files()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range append(files, oldFile{path: l.config.Path}) {
		f, err := os.Open(one.path)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, maxTail)
		for lines.Scan() {
			var r Record
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatalf("%s: %q: %v", one.path, lines.Text(), err)
			}
			all = append(all, r)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// checkAll: events 1 to last are there, once each.
func checkAll(t *testing.T, l *Log, last uint64) {
	t.Helper()
	all := written(t, l)
	if len(all) != int(last) {
		t.Fatalf("%d lines, want %d", len(all), last)
	}
	for i, r := range all {
		want := RecordOf(event(t, uint64(i)+1))
		if r.Sequence != want.Sequence || !r.Time.Equal(want.Time) || r.Reason != want.Reason {
			t.Fatalf("line %d is %+v, want %+v", i+1, r, want)
		}
	}
}

func open(t *testing.T, path string, maxSize int64) *Log {
	t.Helper()
	c := DefaultConfig()
	c.Path, c.MaxFiles = path, 0
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	l.maxSize = maxSize
	return l
}

func TestLine(t *testing.T) {
	b, err := appendLine(nil, event(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"sequence":2,"time":"2026-03-05T14:05:07.123Z","event":"released","reason":"given \"back\"\n",` +
		`"subscriber":"2001:db8:1:100::/56","binding-ipv4-addr":"192.0.2.7","psid-offset":0,"psid-len":6,"psid":2,` +
		`"ports":["2048-3071"],"binding-ipv6info":"2001:db8:1:100::1","br-ipv6-addr":"2001:db8:ffff::1",` +
		`"pool":"residential","mechanism":"pcp","start":"2026-03-05T13:05:07.123Z","end":"2026-03-05T14:05:07.123Z"}` + "\n"
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	r := RecordOf(event(t, 1))
	if r.End != nil || r.Start == nil || !r.Start.Equal(r.Time) {
		t.Errorf("an event that begins: %+v", r)
	}
	e := event(t, 2)
	e.Start = time.Time{}
	if r := RecordOf(e); r.Start != nil {
		t.Errorf("start not known: %+v", r)
	}
}

// TestOnce: events that come again, after a crash at any byte or another start,
// are there once.
func TestOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "events.jsonl")
	var done uint64
	l := open(t, path, 3000)
	crashes := 0
	for range 150 {
		from := done - min(done, r.Uint64N(5)) + 1
		done += r.Uint64N(6)
		if err := l.Append(t.Context(), events(t, from, done)); err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) > 0 {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		// The last event was not durable after all.
		if cut := r.Int64N(min(info.Size()+1, 300)); r.IntN(2) == 0 && cut > 0 {
			crashes++
			if err := os.Truncate(path, info.Size()-cut); err != nil {
				t.Fatal(err)
			}
		}
		l = open(t, path, 3000)
		done = l.last.sequence
	}
	checkAll(t, l, done)
	files, err := l.files()
	if err != nil || len(files) < 5 || crashes < 5 {
		t.Errorf("too little was tried: %d files, %d crashes, %v", len(files), crashes, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestFailure: after a failure the log is as it was, and goes on.
func TestFailure(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "events.jsonl"), 1<<20)
	if err := l.Append(t.Context(), events(t, 1, 3)); err != nil {
		t.Fatal(err)
	}
	if err := l.file.Close(); err != nil { // such that writing fails
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), events(t, 4, 5)); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Append(t.Context(), events(t, 1, 6)); err != nil {
		t.Fatal(err)
	}
	checkAll(t, l, 6)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, events(t, 7, 7)); !errors.Is(err, context.Canceled) {
		t.Errorf("too late: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestPrune(t *testing.T) {
	for name, c := range map[string]Config{
		"by number": {MaxSize: 1, MaxFiles: 3},
		"by age":    {MaxSize: 1, MaxAge: 40 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			c.Path = filepath.Join(t.TempDir(), "events.jsonl")
			other := c.Path + ".20260305T140307Z-x"
			if err := os.WriteFile(other, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := Open(c)
			if err != nil {
				t.Fatal(err)
			}
			l.maxSize = 4000
			for n := uint64(1); n <= 150; n++ {
				if err := l.Append(t.Context(), events(t, n, n)); err != nil {
					t.Fatal(err)
				}
			}
			files, err := l.files()
			if err != nil || len(files) < 2 || len(files) > 5 || c.MaxFiles > 0 && len(files) != c.MaxFiles {
				t.Errorf("%d files are left, %v", len(files), err)
			}
			all := written(t, l)
			for i, r := range all {
				if r.Sequence != uint64(150-len(all)+i+1) {
					t.Fatalf("event %d in place %d of %d", r.Sequence, i, len(all))
				}
			}
			if _, err := os.Stat(other); err != nil {
				t.Errorf("somebody else's file: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	for name, content := range map[string]string{
		"text":           "root:x:0:0:root:/root:/bin/bash\n",
		"half a line":    "some text",
		"other JSON":     "{\"time\": 1}\n",
		"no sequence":    "{}\n",
		"half of others": "{}\n{",
		"a long line":    "{" + strings.Repeat(" ", maxTail+1),
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c := DefaultConfig()
		c.Path = path
		if _, err := Open(c); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("%s: it was changed, %v", name, err)
		}
	}
}

func TestConfig(t *testing.T) {
	bad := Config{Path: "events.jsonl", MaxSize: 0, MaxAge: -1, MaxFiles: -1}
	var got []string
	for _, err := range element.Each(bad.Validate()) {
		got = append(got, err.Error())
	}
	want := []string{
		`path: "events.jsonl" is not an absolute, clean path`,
		fmt.Sprintf("max-size: 0 MiB is not in 1 to %d", maxMaxSize),
		"max-age: -1ns is negative",
		"max-files: -1 is negative",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzLastLine(f *testing.F) {
	b, err := appendLine(nil, event(f, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(append(b, `{"sequence":2`...))
	f.Fuzz(func(t *testing.T, b []byte) {
		end, m, err := lastLine(b)
		if err == nil && (end > len(b) || end > 0 && (b[end-1] != '\n' || m.sequence == 0)) {
			t.Fatalf("%d of %d bytes, %+v", end, len(b), m)
		}
	})
}

func FuzzParseSuffix(f *testing.F) {
	f.Add(".20260305T140307Z-1234")
	f.Fuzz(func(t *testing.T, text string) {
		if m, ok := parseSuffix(text); ok && m.suffix() != text {
			t.Fatalf("%q is %q", text, m.suffix())
		}
	})
}
