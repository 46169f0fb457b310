package forwarder

// Event is something that a Worker counts about a packet.
type Event uint8

// The events. A packet that leaves as ordered is counted as traffic and not
// here; every packet that does not is counted under exactly one Drop event, and
// under what was done about it besides.
const (
	DropIPv4Malformed Event = iota
	DropIPv4Checksum
	DropIPv4Martian
	DropIPv4Filter
	DropUnboundAddress
	DropUnboundPort
	DropNoPort
	DropICMPv4Checksum
	DropICMPv4Unmatched
	DropICMPv4Policy
	DropTTL
	DropTooBig
	DropLocal
	DropIPv6Malformed
	DropIPv6Martian
	DropIPv6Extension
	DropIPv6Filter
	DropNotBR
	DropIPv6Protocol
	DropICMPv6Checksum
	DropICMPv6Policy
	DropICMPv6Unrelayed
	DropInnerMalformed
	DropInnerMartian
	DropInnerSource
	DropInnerPort
	DropOuterSource
	DropOuterDestination
	DropECN
	DropFragmentBad
	DropFragmentOverlap
	DropFragmentStranger
	DropFragmentDuplicate
	DropFragmentLimit
	DropFragmentTimeout
	DropExceptionQueue

	ExceptionPCP
	ExceptionPCPSoftwire
	EchoReplyIPv4
	EchoReplyIPv6
	SentICMPv4Unreachable
	SentICMPv4TooBig
	SentICMPv4TimeExceeded
	SentICMPv6Policy
	LimitedICMPv4
	LimitedICMPv6
	RelayedICMPv6
	Fragmented
	FragmentsHeld
	Reassembled
	ClampedMSS

	eventCount
)

// eventText is what an operator reads about an event.
type eventText struct{ name, meaning string }

// String is the event's name in counters, stable across releases.
func (e Event) String() string { return e.text().name }

// Meaning is one sentence for an operator.
func (e Event) Meaning() string { return e.text().meaning }

// Drop reports whether the counted packet went no further.
func (e Event) Drop() bool { return e <= DropExceptionQueue }

// Events yields every event in the order of the listing.
func Events(yield func(Event) bool) {
	for e := range eventCount {
		if !yield(e) {
			return
		}
	}
}

func (e Event) text() eventText {
	switch e {
	case DropIPv4Malformed:
		return eventText{"drop-ipv4-malformed", "the IPv4 header is short or its lengths contradict each other"}
	case DropIPv4Checksum:
		return eventText{"drop-ipv4-checksum", "the IPv4 header checksum is wrong"}
	case DropIPv4Martian:
		return eventText{"drop-ipv4-martian", "an IPv4 source or destination that no unicast packet has"}
	case DropIPv4Filter:
		return eventText{"drop-ipv4-filter", "refused by an IPv4 filter"}
	case DropUnboundAddress:
		return eventText{"drop-unbound-address", "no softwire has this IPv4 destination address"}
	case DropUnboundPort:
		return eventText{"drop-unbound-port", "no softwire on this IPv4 destination address has the port"}
	case DropNoPort:
		return eventText{"drop-no-port", "a protocol without ports to or from a shared IPv4 address"}
	case DropICMPv4Checksum:
		return eventText{"drop-icmpv4-checksum", "the ICMPv4 checksum is wrong"}
	case DropICMPv4Unmatched:
		return eventText{"drop-icmpv4-unmatched", "an ICMPv4 message that belongs to no softwire"}
	case DropICMPv4Policy:
		return eventText{"drop-icmpv4-policy", "ICMPv4 from this side is switched off"}
	case DropTTL:
		return eventText{"drop-ttl", "the IPv4 TTL ran out here"}
	case DropTooBig:
		return eventText{"drop-too-big", "larger than the next MTU and not to be fragmented"}
	case DropLocal:
		return eventText{"drop-local", "for an address of the lwAFTR itself, and nothing it answers"}
	case DropIPv6Malformed:
		return eventText{"drop-ipv6-malformed", "the IPv6 header is short or its lengths contradict each other"}
	case DropIPv6Martian:
		return eventText{"drop-ipv6-martian", "an IPv6 source that no unicast packet has"}
	case DropIPv6Extension:
		return eventText{"drop-ipv6-extension", "an IPv6 extension header that is broken, or that asks to be discarded"}
	case DropIPv6Filter:
		return eventText{"drop-ipv6-filter", "refused by an IPv6 filter"}
	case DropNotBR:
		return eventText{"drop-not-br", "the IPv6 destination is none of our BR addresses"}
	case DropIPv6Protocol:
		return eventText{"drop-ipv6-protocol", "to a BR address, and neither a softwire nor anything we answer"}
	case DropICMPv6Checksum:
		return eventText{"drop-icmpv6-checksum", "the ICMPv6 checksum is wrong"}
	case DropICMPv6Policy:
		return eventText{"drop-icmpv6-policy", "ICMPv6 to BR addresses is switched off"}
	case DropICMPv6Unrelayed:
		return eventText{"drop-icmpv6-unrelayed", "an ICMPv6 error that says nothing about a packet of a softwire, or has no ICMPv4 counterpart"}
	case DropInnerMalformed:
		return eventText{"drop-inner-malformed", "the IPv4 packet in a softwire is broken"}
	case DropInnerMartian:
		return eventText{"drop-inner-martian", "an IPv4 destination from a softwire that no unicast packet has"}
	case DropInnerSource:
		return eventText{"drop-inner-source", "no softwire has this IPv4 source address"}
	case DropInnerPort:
		return eventText{"drop-inner-port", "no softwire on this IPv4 source address has the source port"}
	case DropOuterSource:
		return eventText{"drop-outer-source", "the softwire with this IPv4 source and port belongs to another lwB4"}
	case DropOuterDestination:
		return eventText{"drop-outer-destination", "the softwire with this IPv4 source and port has another BR address"}
	case DropECN:
		return eventText{"drop-ecn", "congestion was marked on a packet whose sender cannot be told (RFC 6040 section 4.2)"}
	case DropFragmentBad:
		return eventText{"drop-fragment-bad", "a fragment with an impossible offset or length"}
	case DropFragmentOverlap:
		return eventText{"drop-fragment-overlap", "a fragment that overlaps another; the whole packet is given up"}
	case DropFragmentStranger:
		return eventText{"drop-fragment-stranger", "a fragment of a tunnel packet from an address that is no lwB4's"}
	case DropFragmentDuplicate:
		return eventText{"drop-fragment-duplicate", "a fragment that is held already"}
	case DropFragmentLimit:
		return eventText{"drop-fragment-limit", "a fragment beyond the limits of reassembly"}
	case DropFragmentTimeout:
		return eventText{"drop-fragment-timeout", "a fragment whose packet was not complete in time"}
	case DropExceptionQueue:
		return eventText{"drop-exception-queue", "an exception packet that found its queue full or was too large for it"}
	case ExceptionPCP:
		return eventText{"exception-pcp", "PCP over plain IPv6, handed to the control logic"}
	case ExceptionPCPSoftwire:
		return eventText{"exception-pcp-softwire", "PCP in a softwire, handed to the control logic"}
	case EchoReplyIPv4:
		return eventText{"echo-reply-ipv4", "pings of the lwAFTR's IPv4 address answered"}
	case EchoReplyIPv6:
		return eventText{"echo-reply-ipv6", "pings of BR addresses answered"}
	case SentICMPv4Unreachable:
		return eventText{"sent-icmpv4-unreachable", "ICMPv4 host unreachable sent"}
	case SentICMPv4TooBig:
		return eventText{"sent-icmpv4-too-big", "ICMPv4 fragmentation needed sent"}
	case SentICMPv4TimeExceeded:
		return eventText{"sent-icmpv4-time-exceeded", "ICMPv4 time exceeded sent"}
	case SentICMPv6Policy:
		return eventText{"sent-icmpv6-policy", "ICMPv6 source address failed ingress/egress policy sent"}
	case LimitedICMPv4:
		return eventText{"limited-icmpv4", "ICMPv4 errors not sent because of the rate limits"}
	case LimitedICMPv6:
		return eventText{"limited-icmpv6", "ICMPv6 errors not sent because of the rate limits"}
	case RelayedICMPv6:
		return eventText{"relayed-icmpv6", "ICMPv6 errors from inside the access network turned into ICMPv4 errors"}
	case Fragmented:
		return eventText{"fragmented", "packets cut into fragments"}
	case FragmentsHeld:
		return eventText{"fragments-held", "fragments taken in for reassembly"}
	case Reassembled:
		return eventText{"reassembled", "packets made whole from fragments"}
	case ClampedMSS:
		return eventText{"clamped-mss", "TCP handshakes whose MSS was lowered"}
	}
	return eventText{"unknown", "unknown"}
}
