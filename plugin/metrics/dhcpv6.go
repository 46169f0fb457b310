package metrics

// dhcpv6Families are those of a router with a DHCPv6 server.
func dhcpv6Families() []family {
	serving := func(collect func(*DHCPv6, emitter)) func(Reading, emitter) {
		return func(r Reading, e emitter) {
			if r.DHCPv6 != nil {
				collect(r.DHCPv6, e)
			}
		}
	}
	return []family{
		counter("dhcpv6_events_total", "What the DHCPv6 server received, answered and dropped.", labels("event"), serving(func(d *DHCPv6, e emitter) {
			for _, event := range d.Events {
				e.value(float64(event.Packets), event.Name)
			}
		})),
		counter("dhcpv6_delegations_total", "What happened to delegated prefixes: granted, extended, released, expired.", labels("change"), serving(func(d *DHCPv6, e emitter) {
			e.value(float64(d.Granted), "granted")
			e.value(float64(d.Extended), "extended")
			e.value(float64(d.Released), "released")
			e.value(float64(d.Expired), "expired")
		})),
		gauge("dhcpv6_pool_prefixes", "Prefixes of a pool of prefixes: bound, never had by anybody (fresh), or all (size).", labels("pool", "state"), serving(func(d *DHCPv6, e emitter) {
			for _, p := range d.Pools {
				e.value(float64(p.Bound), p.Name, "bound")
				e.value(float64(p.Fresh), p.Name, "fresh")
				e.value(float64(p.Size), p.Name, "size")
			}
		})),
		gauge("dhcpv6_owed_softwires", "Softwires that are to be given back.", nil, serving(func(d *DHCPv6, e emitter) { e.value(float64(d.Owing)) })),
	}
}
