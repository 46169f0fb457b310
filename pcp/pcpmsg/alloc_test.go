package pcpmsg

import (
	"net/netip"
	"testing"
)

// exchange does the codec's part of what client and server do for the most
// common request, a MAP with PORT_SET, and returns the response.
func exchange(request *Request, set PortSet, wire, scratch []byte) ([]byte, error) {
	request.Options = set.Append(Options(scratch[:0]))
	parsed, err := ParseRequest(request.Append(wire[:0]))
	if err != nil {
		return nil, err
	}
	if err := parsed.Options.Validate(); err != nil {
		return nil, err
	}
	for o := range parsed.Options.All() {
		if o.Code == CodePortSet {
			set, err = ParsePortSet(o.Data)
		}
	}
	if err != nil {
		return nil, err
	}
	set.Size, set.FirstInternal = 1024, 2048
	response := Response{Opcode: Map, Lifetime: parsed.Lifetime, Epoch: 1, Body: Body{Mapping: parsed.Mapping}}
	response.Options = set.Append(Options(scratch[:0]))
	response.Mapping.External, response.Mapping.ExternalPort = netip.AddrFrom4([4]byte{192, 0, 2, 1}), 2048
	return response.Append(wire[:0]), nil
}

// TestExchangeAllocatesNothing also reads the response, as a client does.
func TestExchangeAllocatesNothing(t *testing.T) {
	request := mapRequest()
	wire, scratch := make([]byte, 0, MaxLength), make([]byte, 0, 64)
	var response Response
	allocations := testing.AllocsPerRun(100, func() {
		b, err := exchange(&request, PortSet{Size: AllPorts, FirstInternal: 5000}, wire, scratch)
		if err != nil {
			t.Fatal(err)
		}
		if response, err = ParseResponse(b); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
	checkPortSet(t, response.Options, PortSet{Size: 1024, FirstInternal: 2048})
}

// TestFaultsAllocateNothing: a flood of malformed requests costs no memory.
func TestFaultsAllocateNothing(t *testing.T) {
	request, wire := make([]byte, 1104), make([]byte, 0, MaxLength)
	request[0] = Version
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := ParseRequest(request); err == nil {
			t.Fatal("not refused")
		}
		wire = AppendError(wire[:0], request, MalformedRequest, 1800, 1)
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkExchange(b *testing.B) {
	request := mapRequest()
	wire, scratch := make([]byte, 0, MaxLength), make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := exchange(&request, PortSet{Size: AllPorts, FirstInternal: 5000}, wire, scratch); err != nil {
			b.Fatal(err)
		}
	}
}
