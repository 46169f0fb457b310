package metrics

import "github.com/lwaftr/lw4o6/plugin/dataplane"

func routerFamilies() []family {
	running := gauge("running", "Whether the router runs.", nil, func(r Reading, e emitter) { e.flag(!r.Started.IsZero()) })
	running.always = true
	info := gauge("build_info", "Always 1, with the version of the router.", labels("version"), func(r Reading, e emitter) { e.value(1, r.Version) })
	info.always = true
	return []family{
		running,
		info,
		gauge("start_time_seconds", "When the router was started.", nil, func(r Reading, e emitter) { e.time(r.Started) }),
		gauge("ready", "Whether every softwire has been programmed or refused once since the start.", nil, func(r Reading, e emitter) { e.flag(r.Ready) }),
	}
}

// softwireFamilies are how far the data plane follows the binding table.
func softwireFamilies() []family {
	return []family{
		gauge("dataplane_up", "Whether the data plane says that it forwards.", labels("dataplane"), func(r Reading, e emitter) {
			e.flag(r.Softwires.Health.State == dataplane.StateUp, r.Softwires.Dataplane)
		}),
		gauge("dataplane_configured", "Whether the data plane serves the present pools and BR addresses.", nil, func(r Reading, e emitter) {
			e.flag(r.Softwires.Configured)
		}),
		gauge("softwires", "Softwires of the binding table: programmed, or missing in the data plane.", labels("state"), func(r Reading, e emitter) {
			e.value(float64(r.Softwires.Programmed), "programmed")
			e.value(float64(r.Softwires.Desired-r.Softwires.Programmed), "missing")
		}),
		gauge("softwire_changes", "Changes that the data plane has not made: pending, refused by it, or withheld until the table is complete.", labels("state"), func(r Reading, e emitter) {
			e.value(float64(r.Softwires.Pending), "pending")
			e.value(float64(r.Softwires.Refused), "refused")
			e.value(float64(r.Softwires.Withheld), "withheld")
		}),
		gauge("pool_softwires", "Softwires on the addresses of a pool: programmed, or missing in the data plane.", labels("pool", "state"), func(r Reading, e emitter) {
			for _, p := range r.Pools {
				e.value(float64(p.Programmed), p.Name, "programmed")
				e.value(float64(p.Desired-p.Programmed), p.Name, "missing")
			}
		}),
		gauge("pool_port_sets", "Port sets that a pool has, lendable or not.", labels("pool"), func(r Reading, e emitter) {
			for _, p := range r.Pools {
				e.value(float64(p.Capacity), p.Name)
			}
		}),
		gauge("programming_lag_seconds", "Age of the oldest change that the data plane has not made.", nil, func(r Reading, e emitter) {
			e.value(r.Softwires.Lag.Seconds())
		}),
		{name: "lw4o6_programming_duration_seconds", help: "How long the data plane took for a batch of changes.", collect: func(r Reading, e emitter) {
			e.histogram(r.Softwires.ApplyTimes)
		}},
		counter("programming_changes_total", "Changes sent to the data plane.", nil, func(r Reading, e emitter) { e.value(float64(r.Softwires.Totals.Ops)) }),
		counter("programming_retries_total", "Changes that the data plane answered with: not now.", nil, func(r Reading, e emitter) { e.value(float64(r.Softwires.Totals.Retries)) }),
		counter("programming_lost_batches_total", "Batches of changes without an answer of the data plane.", nil, func(r Reading, e emitter) { e.value(float64(r.Softwires.Totals.LostBatches)) }),
		counter("resyncs_total", "Times that the data plane was read back and mended.", nil, func(r Reading, e emitter) { e.value(float64(r.Softwires.Totals.Syncs)) }),
		gauge("last_sync_timestamp_seconds", "End of the latest complete read back and mending.", nil, func(r Reading, e emitter) { e.time(r.Softwires.LastSync) }),
		gauge("last_verified_timestamp_seconds", "Latest read back that found nothing to mend.", nil, func(r Reading, e emitter) { e.time(r.Softwires.LastVerified) }),
	}
}
