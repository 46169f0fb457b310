package stats

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

func TestReading(t *testing.T) {
	data := sample()
	got, err := New("").attempt(bytes.NewReader(data), uint64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	want := &Reading{
		Started: time.Unix(1_700_000_000, 0), Heartbeat: 7,
		Domains: []Row{
			{Rx: dataplane.Traffic{Packets: 3, Bytes: 300}, Tx: dataplane.Traffic{Packets: 3, Bytes: 300}},
			{Rx: dataplane.Traffic{Packets: 5, Bytes: 500}, Tx: dataplane.Traffic{Packets: 4, Bytes: 400}},
		},
		Interfaces: []Row{{Rx: dataplane.Traffic{Packets: 9, Bytes: 900}, Tx: dataplane.Traffic{Packets: 8, Bytes: 800}}},
		Threads:    []Thread{{1, 10}, {200, 30_000}},
		Heap:       Memory{1000, 10}, Statistics: Memory{2000, 20},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Reading{}), cmpopts.IgnoreFields(Reading{}, "Events")); diff != "" {
		t.Errorf("reading (-want +got):\n%s", diff)
	}
	counted := make(map[string]uint64)
	for _, e := range got.Events {
		if e.Packets > 0 {
			counted[e.Name] = e.Packets
		}
	}
	if diff := cmp.Diff(map[string]uint64{
		"drop-unbound-port": 33, "drop-softwire-check": 30, "drop-interface-full": 7,
	}, counted); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestNothingYet: VPP adds counters when there is something to count.
func TestNothingYet(t *testing.T) {
	data := newImage().finish()
	got, err := New("").attempt(bytes.NewReader(data), uint64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Domains) != 0 || len(got.Threads) != 0 || !got.Started.IsZero() || len(got.Events) != len(events()) {
		t.Errorf("reading of an empty directory: %+v", got)
	}
}

func TestBadMemory(t *testing.T) {
	good := sample()
	broken := func(add func(*image)) []byte {
		m := newImage()
		add(m)
		return m.finish()
	}
	for name, data := range map[string][]byte{
		"empty":                      {},
		"cut in the header":          good[:headerSize-1],
		"cut in the directory":       good[:len(good)-1],
		"cut before the directory":   good[:4096],
		"another layout":             set(good, atVersion, layout+1),
		"directory below the base":   set(good, atDirectory, imageBase-8),
		"directory at the base":      set(good, atDirectory, imageBase),
		"directory beyond the end":   set(good, atDirectory, imageBase+1<<40),
		"directory at an odd place":  set(good, atDirectory, imageBase+4097),
		"scalar that is a vector":    broken(func(m *image) { m.entry(nameHeartbeat, kindSimple, 0) }),
		"counters that are a scalar": broken(func(m *image) { m.entry(nameMapRx, kindScalar, 1) }),
		"error that is no symlink":   broken(func(m *image) { m.entry("/err/ip4-map/no_binding", kindScalar, 1) }),
		"symlink out of the directory": broken(func(m *image) {
			m.symlink("/err/ip4-map/no_binding", 1<<31, 0)
		}),
		"symlink to itself": broken(func(m *image) { m.symlink("/err/ip4-map/no_binding", 0, 0) }),
		"symlink to a missing column": broken(func(m *image) {
			m.symlink("/err/ip4-map/no_binding", m.entry("/node/errors", kindSimple, m.counters(1, []uint64{1})), 1)
		}),
		"thread out of the memory": broken(func(m *image) {
			m.entry(nameMapRx, kindCombined, m.vector(1, octets([]uint64{imageBase + 1<<40})))
		}),
		"more threads than there can be": broken(func(m *image) {
			m.entry(nameMapRx, kindCombined, m.vector(maxThreads+1, make([]byte, word*(maxThreads+1))))
		}),
		"vector longer than the memory": broken(func(m *image) {
			m.entry(nameVectors, kindSimple, m.counters(1, []uint64{1}, nil))
			m.entry(nameLoops, kindSimple, m.vector(1<<31, nil))
		}),
	} {
		got, err := New("").attempt(bytes.NewReader(data), uint64(len(data)))
		if !errors.Is(err, ErrSegment) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, ErrSegment)
		}
	}
}

// TestTable: what is shown has names of its own, and no counter is counted
// twice.
func TestTable(t *testing.T) {
	names, errors := make(map[string]bool), make(map[string]string)
	for _, e := range events() {
		if names[e.name] || e.meaning == "" || len(e.errors)+len(e.interfaces) == 0 {
			t.Errorf("event %q, %q of %d counters", e.name, e.meaning, len(e.errors))
		}
		names[e.name] = true
		if e.drop != (len(e.name) > 5 && e.name[:5] == "drop-") {
			t.Errorf("%s: drop is %t", e.name, e.drop)
		}
		for _, counter := range e.errors {
			if other, twice := errors[counter]; twice {
				t.Errorf("%s is counted as %s and %s", counter, other, e.name)
			}
			errors[counter] = e.name
		}
	}
	if len(errors) < 100 {
		t.Errorf("only %d error counters", len(errors))
	}
}

func FuzzMemory(f *testing.F) {
	good := sample()
	f.Add(good)
	f.Add(newImage().finish())
	f.Add(set(good, atDirectory, imageBase+4096+8))
	f.Add(set(good, atBase, ^uint64(0)))
	reader := New("")
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := reader.attempt(bytes.NewReader(data), uint64(len(data)))
		switch {
		case err == nil:
			if 16*len(r.Domains) > 2*len(data) || len(r.Threads) > len(data) {
				t.Errorf("%d domains and %d threads in %d octets", len(r.Domains), len(r.Threads), len(data))
			}
		case errors.Is(err, ErrSegment), errors.Is(err, errChanged):
		default:
			t.Errorf("error %v", err)
		}
	})
}

// BenchmarkRead reads the counters of as many domains as a /16 has addresses,
// of a VPP with eight workers.
func BenchmarkRead(b *testing.B) {
	const domains, threads = 1 << 16, 9
	m := newImage()
	var counters [][]uint64
	for range threads {
		counters = append(counters, make([]uint64, 2*domains))
	}
	m.entry(nameMapRx, kindCombined, m.counters(2, counters...))
	m.entry(nameMapTx, kindCombined, m.counters(2, counters...))
	data := m.finish()
	reader := New("")
	for b.Loop() {
		if _, err := reader.attempt(bytes.NewReader(data), uint64(len(data))); err != nil {
			b.Fatal(err)
		}
	}
}
