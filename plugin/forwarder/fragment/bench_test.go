package fragment_test

import (
	"testing"

	"github.com/lwaftr/lw4o6/plugin/forwarder/fragment"
)

// ring hands out slices of one block over and over.
type ring struct {
	block [1 << 17]byte
	used  int
}

func (r *ring) Alloc(n int) []byte {
	if r.used+n > len(r.block) {
		r.used = 0
	}
	b := r.block[r.used : r.used+n]
	r.used += n
	return b
}

func TestNoAllocation(t *testing.T) {
	var r ring
	six := packet6(make([]byte, 4000))
	four := packet4(0, routerAlert, make([]byte, 4000))
	fragments := 0
	perRun := testing.AllocsPerRun(1000, func() {
		n6, err6 := fragment.IPv6(&r, six, 1280, 1)
		n4, err4 := fragment.IPv4(&r, four, 1280)
		forced, errForced := fragment.IPv4Forced(&r, four, 1280, 2)
		if err6 != nil || err4 != nil || errForced != nil {
			t.Fatal(err6, err4, errForced)
		}
		fragments += n6 + n4 + forced
	})
	if perRun != 0 || fragments == 0 {
		t.Errorf("%v allocations per run, %d fragments", perRun, fragments)
	}
}

func BenchmarkIPv6(b *testing.B) {
	var r ring
	packet := packet6(make([]byte, 1500))
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := fragment.IPv6(&r, packet, 1280, 1); n != 2 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkIPv4(b *testing.B) {
	var r ring
	packet := packet4(0, nil, make([]byte, 1480))
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := fragment.IPv4(&r, packet, 1280); n != 2 || err != nil {
			b.Fatal(n, err)
		}
	}
}
