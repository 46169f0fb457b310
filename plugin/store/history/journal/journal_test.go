package journal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// memory is a File whose calls can fail.
type memory struct {
	data  []byte
	fails int // how many calls succeed before one fails; negative for all
	short bool
}

var errFails = errors.New("it fails")

func (m *memory) ok() error {
	if m.fails--; m.fails == -1 {
		return errFails
	}
	return nil
}

func (m *memory) WriteAt(b []byte, offset int64) (int, error) {
	err := m.ok()
	n := len(b)
	if err != nil && m.short {
		n /= 2
	}
	if err == nil || m.short {
		m.data = append(m.data[:min(int(offset), len(m.data))], b[:n]...)
	}
	return n, err
}

func (m *memory) Sync() error { return m.ok() }

func (m *memory) Truncate(size int64) error {
	err := m.ok()
	if err == nil {
		m.data = m.data[:min(int(size), len(m.data))]
	}
	return err
}

// payloads reads a journal.
func payloads(data string) (all []string, good int, err error) {
	good, err = Read(data, func(p string) error {
		all = append(all, p)
		return nil
	})
	return all, good, err
}

func written(t testing.TB, all ...string) string {
	t.Helper()
	m := &memory{fails: -1}
	w := NewWriter(m, 0)
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if err := w.Append([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if w.Size() != int64(len(m.data)) {
		t.Fatalf("size %d of %d", w.Size(), len(m.data))
	}
	return string(m.data)
}

func TestTornTail(t *testing.T) {
	want := []string{"one", "", "three", strings.Repeat("four", 100)}
	data := written(t, want...)
	ends := []int{}
	for n := range len(want) + 1 {
		ends = append(ends, len(written(t, want[:n]...)))
	}
	for n := range len(data) + 1 {
		all, good, err := payloads(data[:n])
		whole := 0 // frames that end within n bytes
		for whole < len(want) && ends[whole+1] <= n {
			whole++
		}
		wantGood := ends[whole]
		if n < ends[0] {
			wantGood = 0
		}
		if err != nil || good != wantGood || !slices.Equal(all, want[:whole]) {
			t.Fatalf("%d bytes: %d good, want %d; %q, %v", n, good, wantGood, all, err)
		}
	}
}

func TestDamage(t *testing.T) {
	data := written(t, "one", "two", "three")
	last := len(written(t, "one", "two"))
	for i := range data {
		bad := data[:i] + string(data[i]^0x40) + data[i+1:]
		all, good, err := payloads(bad)
		switch {
		case i >= last:
			if err != nil || good != last || len(all) != 2 {
				t.Errorf("byte %d, in the last frame: %d good, %q, %v", i, good, all, err)
			}
		default:
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("byte %d, before the last frame: %q, %v", i, all, err)
			}
		}
	}
	if _, _, err := payloads("#!/bin/sh"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a foreign file: %v", err)
	}
}

func TestReadStops(t *testing.T) {
	good, err := Read(written(t, "one", "two"), func(p string) error {
		if p == "two" {
			return errFails
		}
		return nil
	})
	if !errors.Is(err, errFails) || good != len(written(t, "one")) {
		t.Errorf("%d good, %v", good, err)
	}
}

// TestWriterFails: whatever fails, the journal holds what Append said it does,
// and at most one frame that failed behind it.
func TestWriterFails(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	failed := 0
	for range 200 {
		m := &memory{fails: r.IntN(10), short: r.IntN(2) == 0}
		w := NewWriter(m, 0)
		var want, lost []string // lost since the last of want
		for n := range 20 {
			p := strings.Repeat(string(rune('a'+n)), r.IntN(50))
			err := w.Append([]byte(p))
			if err == nil {
				want, lost = append(want, p), nil
			} else {
				failed++
				lost = append(lost, p)
				m.fails = r.IntN(10)
			}
			all, good, readErr := payloads(string(m.data))
			if readErr != nil {
				t.Fatal(readErr)
			}
			if len(all) == len(want)+1 && slices.Contains(lost, all[len(want)]) {
				all = all[:len(want)] // whole, but not known to be durable
			}
			if !slices.Equal(all, want) {
				t.Fatalf("got %q, want %q", all, want)
			}
			if r.IntN(5) == 0 && err == nil {
				w = NewWriter(m, good) // a restart
			}
		}
	}
	if failed == 0 {
		t.Error("nothing failed")
	}
	if err := NewWriter(&memory{fails: -1}, 0).Append(make([]byte, MaxPayload+1)); err == nil {
		t.Error("a large frame was taken")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(written(f, "one", "two"))
	f.Add(magic + mark)
	f.Fuzz(func(t *testing.T, data string) {
		all, good, err := payloads(data)
		if good > len(data) {
			t.Fatalf("%d good of %d bytes", good, len(data))
		}
		if err == nil && good > 0 && written(t, all...) != data[:good] {
			t.Fatal("what was read is not what was written")
		}
	})
}
