package metrics

import (
	"maps"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/provision"
)

// leaseFamilies are those of a router that lends port sets.
func leaseFamilies() []family {
	return []family{
		gauge("pool_leases", "Port sets that were lent: bound (held now), leaving (still in the data plane) or resting (held by nobody, remembered).", labels("pool", "state"), pools(func(p lease.PoolStats, e emitter) {
			e.value(float64(p.Bound), p.Pool, "bound")
			e.value(float64(p.Leaving), p.Pool, "leaving")
			e.value(float64(p.Resting), p.Pool, "resting")
		})),
		gauge("pool_lendable_port_sets", "Port sets that the terms of a pool allow to lend.", labels("pool"), pools(func(p lease.PoolStats, e emitter) { e.value(float64(p.Lendable), p.Pool) })),
		gauge("pool_reserved_port_sets", "Port sets reserved for a subscriber, held or not.", labels("pool"), pools(func(p lease.PoolStats, e emitter) { e.value(float64(p.Reserved), p.Pool) })),
		gauge("pool_utilization_ratio", "Part of the lendable port sets that is bound or leaving, 0 to 1.", labels("pool"), pools(func(p lease.PoolStats, e emitter) {
			if p.Lendable > 0 {
				e.value(float64(p.Bound+p.Leaving)/float64(p.Lendable), p.Pool)
			}
		})),
		gauge("pool_draining", "Whether a pool gives out and extends nothing.", labels("pool"), pools(func(p lease.PoolStats, e emitter) { e.flag(p.Draining, p.Pool) })),
		counter("requests_total", "Requests for leases by mechanism and result.", labels("mechanism", "result"), lending(func(s *provision.Stats, e emitter) {
			for _, r := range s.Requests {
				for result, n := range r.Results {
					e.value(float64(n), string(r.Mechanism), provision.Result(result).String())
				}
			}
		})),
		{name: "lw4o6_request_duration_seconds", help: "How long requests took until the lease was durable and programmed, or refused.", labels: labels("mechanism"), collect: lending(func(s *provision.Stats, e emitter) {
			for _, r := range s.Requests {
				e.histogram(r.Time, string(r.Mechanism))
			}
		})},
		counter("lease_changes_total", "What happened to leases: granted, changed, renewed, released, expired, moved, removed.", labels("change"), lending(func(s *provision.Stats, e emitter) {
			for change, n := range map[string]uint64{
				"granted": s.Totals.Granted, "changed": s.Totals.Changed, "renewed": s.Totals.Renewed,
				"released": s.Totals.Released, "expired": s.Totals.Expired, "moved": s.Totals.Moved, "removed": s.Totals.Removed,
			} {
				e.value(float64(n), change)
			}
		})),
		gauge("unsettled_leases", "Leases that are perhaps not durable (doubtful), perhaps not programmed (unconfirmed), or to be taken out of the data plane (ending).", labels("state"), lending(func(s *provision.Stats, e emitter) {
			e.value(float64(s.Doubtful), "doubtful")
			e.value(float64(s.Unconfirmed), "unconfirmed")
			e.value(float64(s.Ending), "ending")
		})),
		gauge("clock_ahead_seconds", "How far the time of day is ahead of the time that leases go by.", nil, lending(func(s *provision.Stats, e emitter) { e.value(s.Clock.Ahead.Seconds()) })),
		gauge("clock_leapt", "Whether the time of day leapt ahead, which leases do not follow.", nil, lending(func(s *provision.Stats, e emitter) { e.flag(s.Clock.Leap) })),
	}
}

func pools(collect func(lease.PoolStats, emitter)) func(Reading, emitter) {
	return lending(func(s *provision.Stats, e emitter) {
		for _, p := range s.Pools {
			collect(p, e)
		}
	})
}

// pcpFamilies are those of a router with a PCP server.
func pcpFamilies() []family {
	serving := func(collect func(*PCP, emitter)) func(Reading, emitter) {
		return func(r Reading, e emitter) {
			if r.PCP != nil {
				collect(r.PCP, e)
			}
		}
	}
	return []family{
		counter("pcp_answers_total", "PCP requests answered, by result code.", labels("result"), serving(func(p *PCP, e emitter) {
			for _, result := range slices.Sorted(maps.Keys(p.Answered)) {
				e.value(float64(p.Answered[result]), result)
			}
		})),
		counter("pcp_dropped_total", "PCP requests not answered.", nil, serving(func(p *PCP, e emitter) { e.value(float64(p.Dropped)) })),
		counter("pcp_unsent_total", "PCP answers that could not be sent.", nil, serving(func(p *PCP, e emitter) { e.value(float64(p.Unsent)) })),
	}
}
