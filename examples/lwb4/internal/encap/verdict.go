package encap

import "fmt"

// Verdict is what becomes of a packet: Pass, or why it is dropped.
type Verdict uint8

// The verdicts.
const (
	Pass           Verdict = iota
	Malformed              // no whole IPv4 packet
	WrongAddress           // not from or to the softwire's IPv4 address
	OutsidePortSet         // of another subscriber's port
	NoPort                 // of a protocol that has no ports, on a shared address
	Congested              // marked as congested on its way, and its sender does not know ECN
	OuterSource            // came from elsewhere than the BR address
	TooBig                 // with "don't fragment" set; answered by ICMP
	Unsent                 // refused by the kernel, or there was no room
	Refused                // an error that came back through IPv6 for what was sent
	NoBinding              // the AFTR's answer to what it has no binding for
	Unasked                // the same, but about nothing that was sent lately
	Verdicts               // how many there are
)

// String names the verdict for logs.
func (v Verdict) String() string {
	names := [Verdicts]string{
		"passed", "malformed", "wrong-address", "outside-port-set", "no-port",
		"congested", "outer-source", "too-big", "unsent", "refused", "no-binding", "unasked",
	}
	if v < Verdicts {
		return names[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}
