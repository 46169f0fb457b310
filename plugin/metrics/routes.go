package metrics

import "github.com/lwaftr/lw4o6/plugin/announce"

// announceFamilies are those of a router that announces routes by BGP.
func announceFamilies() []family {
	return []family{
		gauge("bgp_peer_up", "Whether the session with a BGP peer is established.", labels("peer"), peers(func(p Peer, e emitter) { e.flag(p.Established, p.Name) })),
		counter("bgp_peer_sessions_total", "Times that the session with a peer came up.", labels("peer"), peers(func(p Peer, e emitter) { e.value(float64(p.Sessions), p.Name) })),
		counter("bgp_peer_flaps_total", "Times that the session with a peer ended.", labels("peer"), peers(func(p Peer, e emitter) { e.value(float64(p.Flaps), p.Name) })),
		counter("bgp_peer_speaker_starts_total", "Times that the speaker process for a peer was started.", labels("peer"), peers(func(p Peer, e emitter) { e.value(float64(p.Starts), p.Name) })),
		gauge("bgp_peer_routes", "Routes that a peer has (announced), or does not get since it does not understand their next hop (withheld).", labels("peer", "state"), peers(func(p Peer, e emitter) {
			e.value(float64(p.Announced), p.Name, "announced")
			e.value(float64(p.Withheld), p.Name, "withheld")
		})),
		gauge("bgp_routes", "Routes that there are: announced, or withheld by the gate.", labels("state"), gated(func(s *announce.Stats, e emitter) {
			announced := 0
			for _, r := range s.Routes {
				if r.Announced {
					announced++
				}
			}
			e.value(float64(announced), "announced")
			e.value(float64(len(s.Routes)-announced), "withheld")
		})),
		gauge("bgp_pool_state", "1 for the state of a pool, 0 for the others: unknown, waiting, announced, withdrawn, hold-down, held, draining, drained.", labels("pool", "state"), gated(func(s *announce.Stats, e emitter) {
			for _, p := range s.Pools {
				for state := announce.Unknown; state <= announce.Drained; state++ {
					e.flag(p.State == state, p.Name, state.String())
				}
			}
		})),
		counter("bgp_pool_withdrawals_total", "Times that a pool was withdrawn because of a loss.", labels("pool"), gated(func(s *announce.Stats, e emitter) {
			for _, p := range s.Pools {
				e.value(float64(p.Withdrawals), p.Name)
			}
		})),
		counter("bgp_pool_holds_total", "Times that a pool was held for an operator, since it flapped.", labels("pool"), gated(func(s *announce.Stats, e emitter) {
			for _, p := range s.Pools {
				e.value(float64(p.Holds), p.Name)
			}
		})),
		gauge("bgp_alarms", "Things about announcements that an operator should look at, by kind.", labels("kind"), gated(func(s *announce.Stats, e emitter) {
			n := make(map[announce.AlarmKind]int)
			for _, a := range s.Alarms {
				n[a.Kind]++
			}
			for _, kind := range []announce.AlarmKind{
				announce.AlarmLag, announce.AlarmUnprogrammed, announce.AlarmHeld, announce.AlarmHalf, announce.AlarmSpeaker, announce.AlarmState,
			} {
				e.value(float64(n[kind]), string(kind))
			}
		})),
	}
}

func gated(collect func(*announce.Stats, emitter)) func(Reading, emitter) {
	return func(r Reading, e emitter) {
		if r.Announce != nil {
			collect(r.Announce, e)
		}
	}
}

func peers(collect func(Peer, emitter)) func(Reading, emitter) {
	return func(r Reading, e emitter) {
		for _, p := range r.Peers {
			collect(p, e)
		}
	}
}
