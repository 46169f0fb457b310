package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// plainMap is what a first try at a lwAFTR would have as its binding table: a
// Go map. Its rate is that of finding each packet's binding and writing the
// packet behind a new header, with none of the checks.
type plainMap struct {
	ends map[plainKey]plainEnd
	out  [bufferSize]byte
}

type plainKey struct {
	ip   [4]byte
	psid uint16
}

type plainEnd struct{ b4, br [16]byte }

func newPlainMap(all []softwire.Softwire) *plainMap {
	m := &plainMap{ends: make(map[plainKey]plainEnd, len(all))}
	for _, s := range all {
		m.ends[plainKey{s.IPv4.As4(), s.PortSet.PSID()}] = plainEnd{s.B4.As16(), s.BR.As16()}
	}
	return m
}

// rate measures millions of packets of in per second.
func (m *plainMap) rate(in *traffic, while time.Duration) measure {
	return func(ctx context.Context) (float64, error) {
		defer oneCore()()
		return perSecond(ctx, in.count(), while, func() error {
			for i := range in.count() {
				if !m.packet(in.sides[i], in.at(i)) {
					return fmt.Errorf("packet %d has no binding", i)
				}
			}
			return nil
		})
	}
}

func (m *plainMap) packet(side dataplane.Side, p []byte) bool {
	if side == dataplane.SideIPv6 {
		inner := p[ipv6Header:]
		end, ok := m.ends[plainKey{[4]byte(inner[12:16]), binary.BigEndian.Uint16(inner[ipv4Header:]) >> firstPortBit}]
		copy(m.out[:], inner)
		return ok && end.b4 == [16]byte(p[8:24]) && end.br == [16]byte(p[24:40])
	}
	end, ok := m.ends[plainKey{[4]byte(p[16:20]), binary.BigEndian.Uint16(p[ipv4Header+2:]) >> firstPortBit}]
	copy(m.out[8:], end.br[:])
	copy(m.out[24:], end.b4[:])
	copy(m.out[ipv6Header:], p)
	return ok
}

// mapMemory measures the heap of the map per binding.
func mapMemory(all []softwire.Softwire) measure {
	return func(context.Context) (float64, error) {
		return heapOf(len(all), func() (any, error) { return newPlainMap(all), nil })
	}
}
