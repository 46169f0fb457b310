package vpprig

import "github.com/lwaftr/lw4o6/integration/vectors"

// causes are what the driver's counters of drops stand for in a setup.
func causes(s vectors.Setup) map[string]vectors.Cause {
	all := make(map[string]vectors.Cause)
	for cause, names := range map[vectors.Cause][]string{
		vectors.CauseUnbound: {"drop-unbound-address", "drop-unbound-port"},
		vectors.CauseSpoofed: {"drop-inner-source", "drop-inner-port", "drop-outer-source", "drop-outer-destination", "drop-softwire-check"},
		vectors.CauseNotOurs: {"drop-not-br", "drop-ipv6-classifier"},
		vectors.CauseICMP:    {"drop-icmpv4-checksum", "drop-icmpv4-unmatched", "drop-icmpv4-policy", "drop-icmpv6-policy", "drop-icmpv6-unrelayed"},
		vectors.CauseTooBig:  {"drop-too-big"},
		vectors.CauseTTL:     {"drop-ttl"},
		vectors.CauseReassembly: {
			"drop-fragment-limit", "drop-fragment-timeout", "drop-fragment-overlap", "drop-reassembly-timeout",
		},
	} {
		for _, name := range names {
			all[name] = cause
		}
	}
	if s.DropIn != [2]bool{} || s.DropOut != [2]bool{} {
		// The rig's filters are of the classifier.
		all["drop-ipv4-classifier"], all["drop-ipv6-classifier"] = vectors.CauseFilter, vectors.CauseFilter
	}
	return all
}
