package stats

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// restless is memory of a VPP that changes it between reads.
type restless struct {
	*bytes.Reader
	reads  int
	change func(reads int) []byte // the memory from then on; nil leaves it
}

func (m *restless) ReadAt(b []byte, offset int64) (int, error) {
	m.reads++
	if data := m.change(m.reads); data != nil {
		m.Reader = bytes.NewReader(data)
	}
	return m.Reader.ReadAt(b, offset)
}

// TestChangeMeanwhile: what was read while VPP moved its counters is not
// believed, right or wrong.
func TestChangeMeanwhile(t *testing.T) {
	good := sample()
	size := uint64(len(good))
	changing, next := set(good, atChanging, 1), set(good, atEpoch, 2)
	for name, change := range map[string]func(int) []byte{
		"at the start": func(n int) []byte { return map[int][]byte{1: changing, 2: next}[n] },
		"in between":   func(n int) []byte { return map[int][]byte{3: changing, 20: next}[n] },
		"all between":  func(n int) []byte { return map[int][]byte{3: next}[n] },
		// Only the header is whole: what it leads to is gone.
		"from rubbish": func(n int) []byte { return map[int][]byte{1: set(good, atDirectory, imageBase+1<<40), 2: next}[n] },
	} {
		synctest.Test(t, func(t *testing.T) {
			m := &restless{Reader: bytes.NewReader(good), change: change}
			r, err := New("").settled(t.Context(), m, size)
			if err != nil || len(r.Domains) != 2 {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			if m.reads < 4 {
				t.Errorf("%s: only %d reads", name, m.reads)
			}
		})
	}
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		data := set(sample(), atChanging, 1)
		started := time.Now()
		_, err := New("").settled(ctx, bytes.NewReader(data), uint64(len(data)))
		if !errors.Is(err, ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reading while VPP changes its counters for ever: %v", err)
		}
		if took := time.Since(started); took != time.Second {
			t.Errorf("gave up after %s", took)
		}
	})
}
