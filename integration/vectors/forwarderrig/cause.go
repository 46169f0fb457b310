package forwarderrig

import (
	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// cause is what the Forwarder's counter of that name stands for. Counters of
// broken packets and of the machine explain no vector.
func cause(counter string) vectors.Cause {
	for e := range forwarder.Events {
		if e.String() == counter {
			return causeOf(e)
		}
	}
	return vectors.CauseOther
}

func causeOf(e forwarder.Event) vectors.Cause {
	switch e {
	case forwarder.DropUnboundAddress, forwarder.DropUnboundPort:
		return vectors.CauseUnbound
	case forwarder.DropInnerSource, forwarder.DropInnerPort,
		forwarder.DropOuterSource, forwarder.DropOuterDestination:
		return vectors.CauseSpoofed
	case forwarder.DropNotBR:
		return vectors.CauseNotOurs
	case forwarder.DropICMPv4Checksum, forwarder.DropICMPv4Unmatched, forwarder.DropICMPv4Policy,
		forwarder.DropICMPv6Policy, forwarder.DropICMPv6Unrelayed:
		return vectors.CauseICMP
	case forwarder.DropIPv4Filter, forwarder.DropIPv6Filter:
		return vectors.CauseFilter
	case forwarder.DropTooBig:
		return vectors.CauseTooBig
	case forwarder.DropTTL:
		return vectors.CauseTTL
	case forwarder.DropFragmentLimit, forwarder.DropFragmentTimeout, forwarder.DropFragmentOverlap:
		return vectors.CauseReassembly
	}
	return vectors.CauseOther
}
