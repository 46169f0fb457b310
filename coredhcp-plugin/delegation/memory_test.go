package delegation

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"
)

// TestMemory holds what a delegation with a softwire costs to 448 bytes, for a
// client with a DUID of 14 octets.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory is in the measurement")
	}
	if testing.Short() {
		t.Skip("-short: half a million delegations take seconds")
	}
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	pool := small("access", "2001:db8:8000::/36", 56)
	before := inUse()
	b := NewBook([]Pool{pool}, 1)
	const delegations = 500_000
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for i := range uint32(delegations) {
		duid := binary.BigEndian.AppendUint32([]byte("\x00\x01\x00\x01\x31\x02\x3c\x00\x02\x00"), i)
		d, err := b.Grant(Query{Holder: Holder{Client: string(duid)}, Pools: []string{pool.Name}}, now)
		if err != nil {
			t.Fatal(err)
		}
		d.Softwire, d.Owing = testSoftwire(), true
		b.Put(d)
	}
	each := float64(inUse()-before) / delegations
	t.Logf("%d delegations: %.1f bytes each", delegations, each)
	if each > 448 {
		t.Errorf("%.1f bytes for a delegation", each)
	}
	runtime.KeepAlive(b)
}
