package pcpmsg

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// FuzzParseRequest: whatever comes is read without a panic, and what was read
// is written such that it reads the same.
func FuzzParseRequest(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			checkErrorAnswer(t, b)
			return
		}
		canonical := r.Append(nil)
		again, err := ParseRequest(canonical)
		if err != nil {
			t.Fatalf("%x was read, but not written as %x: %v", b, canonical, err)
		}
		checkBody(t, r.Opcode, r.Body, again.Body)
		r.Body, again.Body = Body{}, Body{}
		equal(t, again, r)
		checkCanonical(t, b, canonical, [2]int{0, 2}, [2]int{4, HeaderLength})
		checkErrorAnswer(t, b)
	})
}

func FuzzParseResponse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseResponse(b)
		if err != nil {
			return
		}
		canonical := r.Append(nil)
		again, err := ParseResponse(canonical)
		if err != nil {
			t.Fatalf("%x was read, but not written as %x: %v", b, canonical, err)
		}
		checkBody(t, r.Opcode, r.Body, again.Body)
		r.Body, again.Body = Body{}, Body{}
		equal(t, again, r)
		checkCanonical(t, b, canonical, [2]int{0, 2}, [2]int{3, 12})
	})
}

func seed(f *testing.F) {
	for _, v := range vectors {
		options := v.portSet.Append(nil)
		if v.request != nil {
			v.request.Options = options
			f.Add(v.request.Append(nil))
		} else {
			v.response.Options = options
			f.Add(v.response.Append(nil))
		}
	}
	all := mapRequest()
	v4 := netip.MustParseAddr("192.0.2.1")
	all.Options = Description("text").Append(Filter{96, 80, v4}.Append(PreferFailure{}.Append(
		ThirdPartyID("id").Append(ThirdParty(v4).Append(PortSet{9, 9, true}.Append(nil))))))
	peer := peerRequest()
	f.Add(all.Append(nil))
	f.Add(peer.Append(nil))
	f.Add([]byte{0, 0})
	f.Add([]byte{2, 127, 0, 0})
	f.Add(make([]byte, 1104))
}

// checkBody checks that both have the same fields, and the same options as far
// as they are valid, and reads those.
func checkBody(t *testing.T, opcode Opcode, got, again Body) {
	t.Helper()
	var options Options
	for o := range got.Options.All() {
		options = options.Append(o)
		readOption(t, o)
	}
	if !bytes.Equal(options, again.Options) || again.Options.Validate() != nil {
		t.Fatalf("%s: options %x read again as %x", opcode, got.Options, again.Options)
	}
	got.Options, again.Options = nil, nil
	equal(t, again, got)
}

// rewrite reads an option and writes it again.
func rewrite[T interface{ Append(Options) Options }](o Option, parse func([]byte) (T, error)) (Options, error) {
	v, err := parse(o.Data)
	return v.Append(nil), err
}

// readOption checks that an option of any content is read without a panic, and
// one that is accepted is written with the same meaning.
func readOption(t *testing.T, o Option) {
	t.Helper()
	var written Options
	var err error
	switch o.Code {
	case CodeThirdParty:
		written, err = rewrite(o, ParseThirdParty)
	case CodePreferFailure:
		written, err = rewrite(o, ParsePreferFailure)
	case CodeFilter:
		written, err = rewrite(o, ParseFilter)
	case CodeThirdPartyID:
		written, err = rewrite(o, ParseThirdPartyID)
	case CodePortSet:
		written, err = rewrite(o, ParsePortSet)
	case CodeDescription:
		v, valid := ParseDescription(o.Data)
		if !valid {
			return
		}
		written = v.Append(nil)
	default:
		return
	}
	if err != nil {
		return
	}
	if want := Options(nil).Append(o); len(written) != len(want) || !bytes.Equal(written[:4], want[:4]) {
		t.Fatalf("%s: %x is written as %x", o.Code, want, written)
	}
}

// checkCanonical checks that a message that was written again has the same
// octets in parts of its header, reserved ones left out, and does not grow.
func checkCanonical(t *testing.T, b, canonical []byte, parts ...[2]int) {
	t.Helper()
	if len(canonical) > len(b) {
		t.Fatalf("%x is written as the longer %x", b, canonical)
	}
	for _, part := range parts {
		if !bytes.Equal(canonical[part[0]:part[1]], b[part[0]:part[1]]) {
			t.Fatalf("%x is written as %x, octets %v differ", b, canonical, part)
		}
	}
}

// checkErrorAnswer checks the form of the answer to a request that failed.
func checkErrorAnswer(t *testing.T, b []byte) {
	t.Helper()
	if len(b) < 2 {
		return
	}
	answer := AppendError(nil, b, NoResources, 30, 7)
	if len(answer) < HeaderLength || len(answer) > MaxLength || len(answer)%4 != 0 {
		t.Fatalf("the answer to %d octets has %d", len(b), len(answer))
	}
	if answer[0] != Version || answer[1] != b[1]|responseBit || binary.BigEndian.Uint32(answer[8:]) != 7 {
		t.Fatalf("the answer to %x is %x", b, answer)
	}
}

// FuzzRoundTrip: every request that can be said is read as it was written.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint8(1), uint32(86400), []byte("client----------"), []byte("nonce-------"), uint8(6), uint16(1), uint16(2), []byte("external--------"), []byte("option"))
	f.Fuzz(func(t *testing.T, opcode uint8, lifetime uint32, client, nonce []byte, protocol uint8, internal, external uint16, address, data []byte) {
		if len(data) > 900 {
			return
		}
		address16 := func(b []byte) netip.Addr {
			var sixteen [16]byte
			copy(sixteen[:], b)
			return netip.AddrFrom16(sixteen).Unmap()
		}
		want := Request{Opcode: Opcode(opcode % 4), Lifetime: lifetime, Client: address16(client)}
		switch want.Opcode {
		case Peer:
			want.Remote = netip.AddrPortFrom(address16(nonce), external)
			fallthrough
		case Map:
			want.Mapping = Mapping{Protocol: protocol, InternalPort: internal, ExternalPort: external, External: address16(address)}
			copy(want.Mapping.Nonce[:], nonce)
			fallthrough
		case Announce:
			want.Options = PortSet{Size: internal, FirstInternal: external, Parity: protocol&1 != 0}.
				Append(Options(nil).Append(Option{OptionCode(protocol), data}))
		default:
			want.Opaque = append(data, make([]byte, padding(len(data)))...)
		}
		got, err := ParseRequest(want.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Options.Validate(); err != nil {
			t.Fatal(err)
		}
		equal(t, got, want)
	})
}
