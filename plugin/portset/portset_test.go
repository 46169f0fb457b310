package portset

import (
	"errors"
	"testing"
)

func TestNewParamsEveryInput(t *testing.T) {
	for a := range 256 {
		for k := range 256 {
			p, err := NewParams(uint8(a), uint8(k))
			switch {
			case a+k > 16:
				if !errors.Is(err, ErrParams) {
					t.Fatalf("NewParams(%d, %d) = %v, %v, want ErrParams", a, k, p, err)
				}
			case err != nil:
				t.Fatalf("NewParams(%d, %d): %v", a, k, err)
			case k == 0 && p != Params{}:
				t.Fatalf("NewParams(%d, 0) = %v, want the whole address as one value", a, p)
			case k > 0 && (int(p.Offset()) != a || int(p.Length()) != k):
				t.Fatalf("NewParams(%d, %d) = %v", a, k, p)
			}
		}
	}
}

func TestParamsFor(t *testing.T) {
	accepted := 0
	for size := -1; size <= 1<<17; size++ {
		p, err := ParamsFor(size)
		if err != nil {
			if !errors.Is(err, ErrParams) {
				t.Fatalf("ParamsFor(%d): %v, want ErrParams", size, err)
			}
			continue
		}
		accepted++
		if p.SetSize() != size || p.Offset() != 0 {
			t.Fatalf("ParamsFor(%d) = %v with %d ports", size, p, p.SetSize())
		}
	}
	if accepted != 17 {
		t.Fatalf("%d sizes accepted, want the 17 powers of two", accepted)
	}
}

func TestNewRefusesWidePSID(t *testing.T) {
	for _, p := range allParams(t) {
		sets := power(int(p.Length()))
		for psid := range sets {
			if _, err := New(p, uint16(psid)); err != nil {
				t.Fatalf("New(%v, %d): %v", p, psid, err)
			}
		}
		for _, psid := range []int{sets, sets + 1, 65535} {
			if psid < sets || psid > 65535 {
				continue // no PSID is too wide for 16 bits
			}
			if _, err := New(p, uint16(psid)); !errors.Is(err, ErrPSID) {
				t.Fatalf("New(%v, %d): %v, want ErrPSID", p, psid, err)
			}
		}
	}
}

func TestOf(t *testing.T) {
	for _, row := range []struct {
		name string
		a, k uint8
		psid uint16
		want error
	}{
		{"accepted", 6, 8, 255, nil},
		{"one port each", 0, 16, 65535, nil},
		{"offset with no sharing", 16, 0, 0, nil},
		{"psid too wide", 6, 8, 256, ErrPSID},
		{"whole address with a psid", 6, 0, 1, ErrPSID},
		{"seventeen bits", 9, 8, 0, ErrParams},
		{"sum wraps", 200, 100, 0, ErrParams},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Of(row.a, row.k, row.psid)
			if !errors.Is(err, row.want) {
				t.Fatalf("Of: %v, want %v", err, row.want)
			}
			if err == nil && s.PSID() != row.psid {
				t.Fatalf("PSID %d, want %d", s.PSID(), row.psid)
			}
		})
	}
}

// TestPortToPSID checks every port of all parameters.
func TestPortToPSID(t *testing.T) {
	for _, p := range allParams(t) {
		for port, owner := range slowOwners(p) {
			psid, ok := p.PSID(uint16(port))
			if ok != (owner != nobody) || ok && int(psid) != owner {
				t.Fatalf("%v: PSID(%d) = %d, %v, want %d", p, port, psid, ok, owner)
			}
		}
	}
}

// TestContains asks every set about every port while that is affordable, and
// beyond about each port the sets beside its owner's.
func TestContains(t *testing.T) {
	const affordable = 4 // bits of PSID
	for _, p := range allParams(t) {
		sets := p.Sets()
		for port, owner := range slowOwners(p) {
			candidates := []int{owner, (owner + 1) % sets, (owner + sets - 1) % sets, 0, sets - 1}
			if p.Length() <= affordable {
				candidates = candidates[:0]
				for psid := range sets {
					candidates = append(candidates, psid)
				}
			}
			for _, psid := range candidates {
				if psid == nobody {
					continue
				}
				s := PortSet{params: p, psid: uint16(psid)}
				if got := s.Contains(uint16(port)); got != (psid == owner) {
					t.Fatalf("%v contains %d: %v, the owner is %d", s, port, got, owner)
				}
			}
		}
	}
}

// TestRangesPartition checks that the ranges of all sets together are exactly
// the ports and owners of the reference, in order and with nothing to merge.
func TestRangesPartition(t *testing.T) {
	for _, p := range allParams(t) {
		owners := make([]int, 65536)
		for port := range owners {
			owners[port] = nobody
		}
		for psid := range p.Sets() {
			s := mustNew(t, p, psid)
			count, blocks, end := 0, 0, -2
			for r := range s.Ranges() {
				if int(r.First) <= end+1 && p.Sets() > 1 || r.First > r.Last {
					t.Fatalf("%v: range %v after port %d", s, r, end)
				}
				for port := int(r.First); port <= int(r.Last); port++ {
					if owners[port] != nobody {
						t.Fatalf("%v: port %d belongs to %d already", s, port, owners[port])
					}
					owners[port] = psid
					count++
				}
				end = int(r.Last)
				blocks++
			}
			wantBlocks := max(1, power(int(p.Offset()))-1)
			if count != s.Count() || count != p.SetSize() || blocks != wantBlocks {
				t.Fatalf("%v: %d ports in %d ranges, Count %d, want %d ranges", s, count, blocks, s.Count(), wantBlocks)
			}
		}
		for port, owner := range slowOwners(p) {
			if owners[port] != owner {
				t.Fatalf("%v: port %d is in the ranges of %d, want %d", p, port, owners[port], owner)
			}
		}
	}
}

// TestStopEarly checks that the iterators end when their reader does.
func TestStopEarly(t *testing.T) {
	s, err := Of(6, 8, 52)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for range s.Ranges() {
		got++
		break
	}
	for range s.Params().Containing(Range{0, 65535}) {
		got++
		break
	}
	if got != 2 {
		t.Fatalf("%d values, want 2", got)
	}
}

// TestKnownSets are sets whose ports are given by others.
func TestKnownSets(t *testing.T) {
	for _, row := range []struct {
		name        string
		a, k        uint8
		psid        uint16
		first, last Range
		ranges      int
		count       int
	}{
		// RFC 7597 appendix A, example 1 (PSID 0x34, psid-offset 6, 8 bits).
		{"RFC 7597 example 1", 6, 8, 0x34, Range{1232, 1235}, Range{64720, 64723}, 63, 252},
		{"first contiguous block", 0, 6, 0, Range{0, 1023}, Range{0, 1023}, 1, 1024},
		{"last contiguous block", 0, 6, 63, Range{64512, 65535}, Range{64512, 65535}, 1, 1024},
		{"whole address", 6, 0, 0, Range{0, 65535}, Range{0, 65535}, 1, 65536},
		{"one port", 0, 16, 80, Range{80, 80}, Range{80, 80}, 1, 1},
		{"every other port", 15, 1, 1, Range{3, 3}, Range{65535, 65535}, 32767, 32767},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Of(row.a, row.k, row.psid)
			if err != nil {
				t.Fatal(err)
			}
			var all []Range
			for r := range s.Ranges() {
				all = append(all, r)
			}
			if len(all) != row.ranges || all[0] != row.first || all[len(all)-1] != row.last {
				t.Fatalf("%d ranges %v to %v, want %d ranges %v to %v",
					len(all), all[0], all[len(all)-1], row.ranges, row.first, row.last)
			}
			if s.Count() != row.count {
				t.Fatalf("Count %d, want %d", s.Count(), row.count)
			}
		})
	}
}
