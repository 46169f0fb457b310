package vppapi

import (
	"bytes"
	"testing"
)

// FuzzReadFrame: no bytes from VPP make more of them than there are.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(frame([]byte{0, 1, 0, 0, 0, 2}))
	f.Add(frame(bytes.Repeat([]byte{1}, 300))[:200])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readFrame(bytes.NewReader(b))
		if err == nil && (len(m) < replyHeader || !bytes.Equal(m, b[frameHeader:frameHeader+len(m)])) {
			t.Errorf("read %x of %x", m, b)
		}
	})
}
