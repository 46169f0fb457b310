package blockfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// entry is one of the tests': its body's length, and then its body.
type entry struct {
	at   Position
	body string
}

// build writes sections of entries.
func build(t testing.TB, sections [][]entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	for i, entries := range sections {
		if i > 0 {
			w.Section()
		}
		for _, e := range entries {
			if _, err := w.Next(e.at); err != nil {
				t.Fatal(err)
			}
			w.Block = binary.LittleEndian.AppendUint16(w.Block, uint16(len(e.body)))
			w.Block = append(w.Block, e.body...)
		}
	}
	if err := w.Finish([]byte("extra")); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// bodies reads a section from a block on.
func bodies(f *File, section, from int) (all []string, err error) {
	for i := from; i < f.Blocks(section); i++ {
		b, err := f.Block(section, i)
		if err != nil {
			return all, err
		}
		for len(b) >= 2 {
			n := int(binary.LittleEndian.Uint16([]byte(b)))
			if n > len(b)-2 {
				return all, errors.New("entry cut in two")
			}
			all, b = append(all, b[2:2+n]), b[2+n:]
		}
	}
	return all, nil
}

// generate makes sections of entries in order, some at the same place.
func generate(r *rand.Rand) [][]entry {
	sections := make([][]entry, 1+r.IntN(3))
	for i := range sections {
		var at Position
		for range r.IntN(3000) {
			switch r.IntN(3) {
			case 0:
				at = Position{at.Major + 1 + r.Uint64N(10), 0}
			case 1:
				at.Minor += r.Uint64N(5)
			}
			sections[i] = append(sections[i], entry{at, strings.Repeat("x", r.IntN(60))})
		}
	}
	return sections
}

func TestFile(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	seeks := 0
	for range 30 {
		sections := generate(r)
		data := build(t, sections)
		f, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if f.Sections() != len(sections) || string(f.Extra()) != "extra" {
			t.Fatalf("%d sections, extra %q", f.Sections(), f.Extra())
		}
		for i, entries := range sections {
			all, err := bodies(f, i, 0)
			if err != nil || len(all) != len(entries) {
				t.Fatalf("section %d: %d of %d entries, %v", i, len(all), len(entries), err)
			}
			if len(entries) == 0 {
				continue
			}
			for range 20 {
				seeks++
				seek(t, r, f, i, entries)
			}
		}
	}
	if seeks == 0 {
		t.Error("nothing was sought")
	}
}

// seek looks for the last entry at or before a place of a section.
func seek(t *testing.T, r *rand.Rand, f *File, section int, entries []entry) {
	t.Helper()
	at := entries[r.IntN(len(entries))].at
	if r.IntN(2) == 0 {
		at.Minor++
	}
	want := 0 // how many stand at or before it
	for want < len(entries) && entries[want].at.Compare(at) <= 0 {
		want++
	}
	block := f.Seek(section, at)
	rest, err := bodies(f, section, block)
	if err != nil {
		t.Fatal(err)
	}
	first := len(entries) - len(rest)
	next, err := bodies(f, section, block+1)
	if err != nil {
		t.Fatal(err)
	}
	if want <= first || want > len(entries)-len(next) {
		t.Errorf("%d entries stand at or before %v, but the block has those from %d to %d", want, at, first, len(entries)-len(next))
	}
	if f.First(section, block) != entries[first].at {
		t.Errorf("block %d begins with %v, want %v", block, f.First(section, block), entries[first].at)
	}
}

func TestWriterRefuses(t *testing.T) {
	w := NewWriter(io.Discard)
	if _, err := w.Next(Position{2, 1}); err != nil {
		t.Fatal(err)
	}
	w.Block = append(w.Block, 1)
	if _, err := w.Next(Position{2, 0}); err == nil {
		t.Error("an entry before the last one was taken")
	}
	w.Block = append(w.Block, make([]byte, maxBlock)...)
	if _, err := w.Next(Position{3, 0}); err == nil {
		t.Error("a large entry was taken")
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterKeepsError(t *testing.T) {
	w := NewWriter(full{})
	if err := w.Finish(nil); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

// TestDamage: no file that was cut, and none with a changed byte, reads like it
// did before.
func TestDamage(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	data := build(t, generate(r))
	for range 300 {
		if _, err := Open(bytes.NewReader(data), int64(r.IntN(len(data)))); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("a part was opened: %v", err)
		}
	}
	for range 300 {
		i := r.IntN(len(data))
		bad := bytes.Clone(data)
		bad[i] ^= 1 << r.IntN(8)
		if err := readAll(bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of %d changed: %v", i, len(data), err)
		}
	}
	if err := readAll(data); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// readAll reads all there is.
func readAll(data []byte) error {
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	for i := range f.Sections() {
		if _, err := bodies(f, i, 0); err != nil {
			return err
		}
		f.Seek(i, Position{7, 7})
	}
	return nil
}

func FuzzOpen(f *testing.F) {
	f.Add(build(f, [][]entry{{{Position{1, 2}, "one"}, {Position{1, 3}, "two"}}, {{Position{0, 0}, "three"}}}), true)
	f.Add(build(f, nil), false)
	f.Fuzz(func(_ *testing.T, data []byte, mend bool) {
		// With its checksum put right, a tail is looked at.
		if n := len(data); mend && n > footer {
			offset := binary.LittleEndian.Uint64(data[n-footer:])
			if offset <= uint64(n-footer) {
				data = bytes.Clone(data)
				binary.LittleEndian.PutUint32(data[n-footer+8:], sum(data[offset:n-footer]))
			}
		}
		_ = readAll(data)
	})
}
