package portset

import "testing"

// nobody owns the ports that no PSID holds.
const nobody = -1

// slowOwner is RFC 7597 section 5.1 read aloud, by division and not by bits:
// which PSID owns port when a and k split it.
func slowOwner(a, k, port int) int {
	if k == 0 {
		return 0
	}
	blockSize := power(16 - a)       // ports that share one A
	rangeSize := power(16 - a - k)   // ports that share A and PSID
	if a > 0 && port/blockSize < 1 { // A must be larger than 0
		return nobody
	}
	return port % blockSize / rangeSize
}

func power(exponent int) int {
	n := 1
	for range exponent {
		n *= 2
	}
	return n
}

// slowOwners is slowOwner of every port.
func slowOwners(p Params) []int {
	owners := make([]int, 65536)
	for port := range owners {
		owners[port] = slowOwner(int(p.Offset()), int(p.Length()), port)
	}
	return owners
}

// allParams is every psid-offset and psid-len that fit, equal ones once.
func allParams(t testing.TB) []Params {
	t.Helper()
	var all []Params
	for a := range uint8(17) {
		for k := range uint8(17 - a) {
			if k == 0 && a > 0 {
				continue // the whole address again
			}
			p, err := NewParams(a, k)
			if err != nil {
				t.Fatalf("NewParams(%d, %d): %v", a, k, err)
			}
			all = append(all, p)
		}
	}
	if len(all) != 137 { // 16+15+...+1 with k > 0, and the whole address
		t.Fatalf("%d parameters, want 137", len(all))
	}
	return all
}

// mustNew is New for PSIDs known to fit.
func mustNew(t testing.TB, p Params, psid int) PortSet {
	t.Helper()
	s, err := New(p, uint16(psid))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
