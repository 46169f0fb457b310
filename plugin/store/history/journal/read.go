package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// ErrCorrupt reports a journal that cannot be what a crash left behind.
var ErrCorrupt = errors.New("damaged journal")

const (
	magic = "lw4o6jl1"
	mark  = "\xf5fr\xfa"
	head  = len(mark) + 4 + 4
	// MaxPayload bounds the payload of a frame, in bytes.
	MaxPayload = 16 << 20
)

// Read calls each with the payload of every whole frame in data, a journal. It
// returns how many bytes of data are whole frames; the rest is a torn tail. The
// error wraps ErrCorrupt and names the place, or is that of each.
func Read(data string, each func(payload string) error) (good int, err error) {
	if len(data) < len(magic) && strings.HasPrefix(magic, data) {
		return 0, nil // torn before its first frame
	}
	if !strings.HasPrefix(data, magic) {
		return 0, fmt.Errorf("%w: it does not begin like one", ErrCorrupt)
	}
	good = len(magic)
	for good < len(data) {
		payload, ok := frame(data[good:])
		if !ok {
			return good, hole(data, good)
		}
		if err := each(payload); err != nil {
			return good, fmt.Errorf("frame at byte %d: %w", good, err)
		}
		good += head + len(payload)
	}
	return good, nil
}

// frame is the payload of the frame that data begins with.
func frame(data string) (payload string, ok bool) {
	if len(data) < head || !strings.HasPrefix(data, mark) {
		return "", false
	}
	h := []byte(data[len(mark):head])
	n := binary.LittleEndian.Uint32(h)
	if n > MaxPayload || int(n) > len(data)-head {
		return "", false
	}
	payload = data[head : head+int(n)]
	return payload, sum(h[:4], payload) == binary.LittleEndian.Uint32(h[4:])
}

// hole looks for a whole frame behind the bad one at an offset.
func hole(data string, bad int) error {
	for at := bad + 1; ; at++ {
		i := strings.Index(data[at:], mark)
		if i < 0 {
			return nil
		}
		at += i
		if _, ok := frame(data[at:]); ok {
			return fmt.Errorf("%w: bytes %d to %d are no frame, but one follows", ErrCorrupt, bad, at-1)
		}
	}
}

func sum(length []byte, payload string) uint32 {
	c := crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), length)
	return crc32.Update(c, crc32.MakeTable(crc32.Castagnoli), []byte(payload))
}
