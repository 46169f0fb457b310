package vectors

import (
	"context"
	"errors"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// ErrUnsupported is wrapped by the error of a Factory that cannot set up a
// case, with the reason; the case is then skipped.
var ErrUnsupported = errors.New("not supported by this data plane")

// Rig is a running lwAFTR with what a case needs of it.
type Rig interface {
	// Send gives the lwAFTR a whole IP packet from a side. The packet is the
	// rig's from then on.
	Send(ctx context.Context, side dataplane.Side, packet []byte) error
	// Collect waits until all that was sent is processed and returns, by side,
	// the IP packets that came out since the start.
	Collect(ctx context.Context) ([2][][]byte, error)
	// Drops returns the packets dropped since the start, by cause.
	Drops(ctx context.Context) (map[Cause]uint64, error)
	// Close ends the lwAFTR.
	Close() error
}

// Factory starts a lwAFTR without any state of earlier ones.
type Factory func(ctx context.Context, s Setup) (Rig, error)

// Cause is why a lwAFTR dropped a packet, in the coarse terms that all have.
type Cause string

// The causes.
const (
	CauseUnbound    Cause = "unbound"    // no softwire for the IPv4 destination
	CauseSpoofed    Cause = "spoofed"    // the softwire's checks refuse it
	CauseNotOurs    Cause = "not ours"   // IPv6 that is not for a BR address
	CauseICMP       Cause = "icmp"       // ICMP that policy or the RFCs discard
	CauseFilter     Cause = "filter"     // an ingress or egress filter
	CauseTooBig     Cause = "too big"    // does not fit and must not be cut
	CauseTTL        Cause = "ttl"        // ran out
	CauseReassembly Cause = "reassembly" // limits of reassembly
	CauseHairpin    Cause = "hairpin"    // from lwB4 to lwB4, switched off
	CauseOther      Cause = "other"      // nothing that a vector tests
)

// silenceCauses are the causes that explain why a case of a category expects
// nothing. Categories that are not here accept every cause but CauseOther.
func silenceCauses(category string) []Cause {
	switch category {
	case "unbound":
		return []Cause{CauseUnbound}
	case "antispoof":
		return []Cause{CauseSpoofed, CauseNotOurs}
	case "icmp-inbound":
		return []Cause{CauseICMP, CauseUnbound}
	case "icmp-relay":
		return []Cause{CauseICMP}
	case "filter":
		return []Cause{CauseFilter}
	case "fragmentation":
		return []Cause{CauseReassembly, CauseTooBig}
	case "icmp-policy":
		// The packet is dropped for what would have been answered otherwise.
		return []Cause{CauseICMP, CauseTooBig, CauseTTL, CauseUnbound, CauseSpoofed}
	}
	return []Cause{CauseUnbound, CauseSpoofed, CauseNotOurs, CauseICMP, CauseFilter, CauseTooBig, CauseTTL, CauseReassembly, CauseHairpin}
}

// explains reports whether cause is one for which a case of category expects
// nothing.
func explains(category string, cause Cause) bool {
	return slices.Contains(silenceCauses(category), cause)
}
