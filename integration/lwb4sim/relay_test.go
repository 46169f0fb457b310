package lwb4sim

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
)

// cross sends numbered packets a millisecond apart through a relay, and returns
// their numbers in the order they arrive.
func cross(impairment Impairment, seed uint64, packets int) ([]uint32, RelayCounts) {
	r := NewRelay(impairment, seed)
	var arrived []uint32
	now := time.Unix(0, 0)
	take := func(until time.Time) {
		for packet, ok := r.Due(until); ok; packet, ok = r.Due(until) {
			arrived = append(arrived, binary.BigEndian.Uint32(packet))
		}
	}
	for i := range packets {
		take(now)
		r.Pass(now, binary.BigEndian.AppendUint32(nil, uint32(i)))
		now = now.Add(time.Millisecond)
	}
	for next := r.Next(); !next.IsZero(); next = r.Next() {
		take(next)
	}
	return arrived, r.Counts()
}

func TestRelay(t *testing.T) {
	const packets = 10000
	good, counts := cross(Impairment{}, 1, packets)
	if len(good) != packets || !slices.IsSorted(good) || counts != (RelayCounts{Passed: packets}) {
		t.Fatalf("a good way: %d packets, %+v", len(good), counts)
	}
	for seed := range uint64(5) {
		arrived, c := cross(bad, seed, packets)
		if c.Passed != uint64(len(arrived)) || c.Passed != packets-c.Lost+c.Duplicated {
			t.Fatalf("seed %d: %d arrived, %+v", seed, len(arrived), c)
		}
		near := func(name string, got uint64, of uint64, share float64) {
			if want := float64(of) * share; float64(got) < 0.9*want || float64(got) > 1.1*want {
				t.Errorf("seed %d: %d %s of %d", seed, got, name, of)
			}
		}
		near("lost", c.Lost, packets, bad.Loss)
		near("duplicated", c.Duplicated, packets-c.Lost, bad.Duplicate)
		near("late", c.Late, c.Passed, bad.Late)
		if slices.IsSorted(arrived) {
			t.Errorf("seed %d: in order", seed)
		}
		if again, _ := cross(bad, seed, packets); !slices.Equal(again, arrived) {
			t.Errorf("seed %d: not the same twice", seed)
		}
	}
}

func TestMemory(t *testing.T) {
	a, b := NewMemory(1)
	if err := a.Send([]byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := a.Send([]byte("two")); !errors.Is(err, ErrFull) {
		t.Fatalf("%v", err)
	}
	buf := make([]byte, 8)
	if n, err := b.Receive(t.Context(), buf); err != nil || string(buf[:n]) != "one" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Receive(ctx, buf); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
}

// TestPopulation: each lwB4 is found by its address, and nobody else is.
func TestPopulation(t *testing.T) {
	for _, inSoftwire := range []bool{false, true} {
		p := people(70000, inSoftwire)
		nonces := make(map[[12]byte]bool)
		for i := range p.Count {
			if got, ok := p.index(p.Address(i)); !ok || got != i {
				t.Fatalf("lwB4 %d is found as %d, %v", i, got, ok)
			}
			nonces[p.nonce(i, 0)] = true
		}
		if len(nonces) != p.Count {
			t.Fatalf("%d nonces for %d lwB4s", len(nonces), p.Count)
		}
		if a := p.Address(65536); a.String() != "2001:db8:1100::1" {
			t.Fatalf("lwB4 65536 has %s", a)
		}
		for _, stranger := range []string{"2001:db8:1000::2", "2001:db8:fff:ff00::1", "2001:db8:1111:7000::1", "192.0.0.2"} {
			if i, ok := p.index(mustAddr(stranger)); ok {
				t.Errorf("%s is lwB4 %d", stranger, i)
			}
		}
		d, err := datagram.Parse(p.packet(5, []byte("ask")))
		if err != nil {
			t.Fatal(err)
		}
		answer := d.Reply([]byte("answer"))
		if i, got, ok := p.receive(answer.Packet()); !ok || i != 5 || string(got.Payload) != "answer" {
			t.Errorf("the answer to lwB4 5 came to %d: %v", i, ok)
		}
		answer.To = addPort(answer.To)
		if _, _, ok := p.receive(answer.Packet()); ok {
			t.Error("an answer to another port is taken")
		}
	}
}
