package s46

import (
	"bytes"
	"errors"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// FuzzParse: whatever comes is read without a panic, and what was read is valid,
// and written such that it reads the same.
func FuzzParse(f *testing.F) {
	for _, g := range golden {
		f.Add(uint16(g.option.Code()), g.option.ToBytes())
	}
	f.Add(uint16(96), octets(f, wireBR, wireBind, wireParams))
	f.Add(uint16(95), octets(f, wireRule, wireDMR))
	f.Fuzz(func(t *testing.T, code uint16, data []byte) {
		if len(data) > 0xffff {
			return
		}
		o, err := Parse(dhcpv6.OptionCode(code), data)
		if err != nil {
			checkSentinel(t, err)
			return
		}
		checkRead(t, o, data, func(b []byte) (Option, error) { return Parse(o.Code(), b) })
	})
}

// FuzzInside is FuzzParse for the options that stand in containers only.
func FuzzInside(f *testing.F) {
	f.Add(uint8(0), octets(f, "00 00 20 c0000209 00"))
	f.Add(uint8(2), octets(f, "40 20010db8ffff0000"))
	f.Add(uint8(3), octets(f, "c0000203 38 20010db8000180", wireParams))
	f.Add(uint8(4), octets(f, "00 06 1400"))
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		read := func(b []byte) (Option, error) {
			o := []Option{new(Rule), new(BR), new(DMR), new(V4V6Bind), new(PortParams)}[kind%5]
			return o, o.FromBytes(b)
		}
		o, err := read(data)
		if err != nil {
			checkSentinel(t, err)
			return
		}
		checkRead(t, o, data, read)
	})
}

func checkSentinel(t *testing.T, err error) {
	t.Helper()
	for _, sentinel := range []error{ErrCode, ErrLength, ErrValue, ErrCount} {
		if errors.Is(err, sentinel) {
			return
		}
	}
	t.Fatalf("%v wraps none of the package's errors", err)
}

func checkRead(t *testing.T, o Option, data []byte, read func([]byte) (Option, error)) {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatalf("%x was read as %s: %v", data, o, err)
	}
	written := o.ToBytes()
	if len(written) > len(data) {
		t.Fatalf("%x is written as the longer %x", data, written)
	}
	again, err := read(written)
	if err != nil {
		t.Fatalf("%x was written as %x: %v", data, written, err)
	}
	if !bytes.Equal(again.ToBytes(), written) || again.String() != o.String() {
		t.Fatalf("%s was written and read as %s", o, again)
	}
}
