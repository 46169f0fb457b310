package forwarder

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// TestExpectChangesNothing: whatever was announced, rightly or wrongly, the same
// comes out.
func TestExpectChangesNothing(t *testing.T) {
	f, err := New(DefaultConfig(), newMemory())
	if err != nil {
		t.Fatal(err)
	}
	fuzzTable(t, f)
	type input struct {
		side   dataplane.Side
		packet []byte
	}
	var in []input
	for _, seed := range fuzzSeeds(t) {
		for len(seed) > 0 {
			n := int(binary.BigEndian.Uint16(seed[1:]))
			in = append(in, input{dataplane.Side(seed[0]), seed[3 : 3+n]})
			seed = seed[3+n:]
		}
	}
	process := func(announce func(w *Worker)) [][]byte {
		w := f.NewWorker()
		w.random = 0
		w.Begin(time.Unix(1_700_000_000, 0))
		announce(w)
		for _, i := range in {
			buf := append(make([]byte, headroom), i.packet...)
			w.Packet(i.side, buf, headroom, len(buf))
		}
		var out [][]byte
		for _, o := range w.End() {
			out = append(out, o.Packet)
		}
		return out
	}
	want := process(func(*Worker) {})
	if len(want) == 0 {
		t.Fatal("nothing came out")
	}
	for name, announce := range map[string]func(w *Worker){
		"all in order": func(w *Worker) {
			for _, i := range in {
				w.Expect(i.side, i.packet)
			}
		},
		"some": func(w *Worker) {
			for _, i := range in[:len(in)/2] {
				w.Expect(i.side, i.packet)
			}
		},
		"backwards": func(w *Worker) {
			for i := range in {
				w.Expect(in[len(in)-1-i].side, in[len(in)-1-i].packet)
			}
		},
		"too short to tell": func(w *Worker) {
			for _, i := range in {
				w.Expect(i.side, i.packet[:10])
			}
		},
	} {
		got := process(announce)
		if len(got) != len(want) {
			t.Errorf("%s: %d packets came out, want %d", name, len(got), len(want))
			continue
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("%s: packet %d is %x, want %x", name, i, got[i], want[i])
			}
		}
	}
}
