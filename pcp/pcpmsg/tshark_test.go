package pcpmsg

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/datagram/datagramtest"
)

// kind is one kind of message that this package writes, with what tshark must
// say of it.
type kind struct {
	name     string
	fromPort uint16 // of the server for a response
	payload  []byte
	want     string // opcode and option codes
}

func kinds() []kind {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	client := uint16(40000)
	request := func(r Request, options Options) []byte { r.Options = options; return r.Append(nil) }
	response := func(r Response, options Options) []byte { r.Options = options; return r.Append(nil) }
	announce := Request{Opcode: Announce, Client: v6}
	deletion := mapRequest()
	deletion.Lifetime, deletion.Mapping.ExternalPort, deletion.Mapping.External = 0, 0, netip.IPv4Unspecified()
	granted := Response{Opcode: Map, Lifetime: 3600, Epoch: 77, Body: mapRequest().Body}
	peer := Response{Opcode: Peer, Lifetime: 3600, Epoch: 77, Body: peerRequest().Body}
	whole := request(mapRequest(), PortSet{Size: AllPorts, FirstInternal: 5000}.Append(nil))
	return []kind{
		{"ANNOUNCE request", client, request(announce, nil), "0;"},
		{"ANNOUNCE response", ServerPort, response(Response{Opcode: Announce, Epoch: 1}, nil), "0;"},
		{"MAP request", client, request(mapRequest(), nil), "1;"},
		{"MAP request with PORT_SET", client, whole, "1;130"},
		{"MAP deletion", client, request(deletion, PortSet{Size: AllPorts, FirstInternal: 5000}.Append(nil)), "1;130"},
		{"MAP request with THIRD_PARTY", client, request(mapRequest(), PortSet{Size: 64, FirstInternal: 5000}.Append(ThirdParty(v6).Append(nil))), "1;1,130"},
		{"MAP request with PREFER_FAILURE", client, request(mapRequest(), PreferFailure{}.Append(nil)), "1;2"},
		{"MAP request with FILTER", client, request(mapRequest(), Filter{PrefixLength: 120, Port: 80, Remote: v4}.Append(nil)), "1;3"},
		{"MAP request with DESCRIPTION", client, request(mapRequest(), PortSet{Size: 64, FirstInternal: 5000}.Append(Description("CPE").Append(nil))), "1;128,130"},
		{"MAP request with an unknown option", client, request(mapRequest(), Options(nil).Append(Option{200, make([]byte, 8)})), "1;200"},
		{"MAP response", ServerPort, response(granted, nil), "1;"},
		{"MAP response with PORT_SET", ServerPort, response(granted, PortSet{Size: 64, FirstInternal: 5000}.Append(nil)), "1;130"},
		{"MAP response with THIRD_PARTY", ServerPort, response(granted, PortSet{Size: 64, FirstInternal: 5000}.Append(ThirdParty(v6).Append(nil))), "1;1,130"},
		{"MAP error", ServerPort, AppendError(nil, whole, NoResources, 30, 77), "1;130"},
		{"PEER request", client, request(peerRequest(), nil), "2;"},
		{"PEER response", ServerPort, response(peer, nil), "2;"},
		{"answer to NAT-PMP", ServerPort, AppendError(nil, []byte{0, 0}, UnsuppVersion, 1800, 77), "0;"},
	}
}

// TestTshark has an independent decoder read what this package writes, over IPv6
// and in a softwire.
func TestTshark(t *testing.T) {
	var all []datagram.Datagram
	lwb4, br := netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::ff")
	for _, k := range kinds() {
		to := uint16(ServerPort)
		if k.fromPort == ServerPort {
			to = 40000
		}
		plain := datagram.Datagram{From: netip.AddrPortFrom(lwb4, k.fromPort), To: netip.AddrPortFrom(br, to), Payload: k.payload}
		inside := datagram.Datagram{
			OuterFrom: lwb4, OuterTo: br, Payload: k.payload,
			From: netip.AddrPortFrom(netip.MustParseAddr("192.0.0.2"), k.fromPort),
			To:   netip.AddrPortFrom(netip.MustParseAddr("192.0.0.1"), to),
		}
		all = append(all, plain, inside)
	}
	tshark := datagramtest.Tshark(t, all)
	out := tshark("-T", "fields", "-E", "separator=;", "-E", "occurrence=a",
		"-e", "portcontrol.opcode", "-e", "portcontrol.option.code", "-e", "udp.checksum.status")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 2*len(kinds()) {
		t.Fatalf("%d lines for %d messages:\n%s", len(lines), 2*len(kinds()), out)
	}
	const goodChecksum = ";1"
	for i, k := range kinds() {
		for over, line := range lines[2*i : 2*i+2] {
			if want := k.want + goodChecksum; line != want {
				t.Errorf("%s %s: tshark reads %q, want %q", k.name, [...]string{"over IPv6", "in a softwire"}[over], line, want)
			}
		}
	}
	if out := tshark("-Y", datagramtest.Warnings+" and not portcontrol.option.unknown"); out != "" {
		t.Errorf("tshark warns of\n%s", out)
	}
}
