package stats

import "github.com/lwaftr/lw4o6/plugin/forwarder"

// The nodes of the MAP plugin, and those in whose name others count, too.
const (
	map4, map6, map6Fragments, map6Relay = "ip4-map", "ip6-map", "ip6-map-post-ip4-reass", "ip6-map-icmp-relay"

	input4, input6 = "ip4-input", "ip6-input"
	icmp4, icmp6   = "ip4-icmp-error", "ip6-icmp-error"
)

func drops() []event {
	const drop = true
	return []event{
		{
			name: "drop-interface-full", drop: drop, interfaces: []string{nameMiss, nameNoBuffer},
			meaning: "packets that came faster than VPP took them from an interface, or than it has buffers",
		},
		same(forwarder.DropIPv4Malformed,
			of(input4, "too_short", "bad_length", "version", "hdr_too_short", "fragment_offset_one")),
		same(forwarder.DropIPv4Checksum, of(input4, "bad_checksum")),
		same(forwarder.DropUnboundPort, of(map4, "no_binding", "encap_sec_check")),
		same(forwarder.DropNoPort,
			of(map6, "bad_protocol"), of(map6Fragments, "bad_protocol"), inReassembly4("reass_unsupp_ip_prot")),
		// ip4-map counts an expired TTL under the number that the error has
		// among those of IPv4, and under that number it has another one itself.
		same(forwarder.DropTTL, of(input4, "time_expired"), of(map4, "unknown", "time_exceeded")),
		same(forwarder.DropTooBig, of(map4, "df_set"), of(input4, "mtu_exceeded"), of(input6, "mtu_exceeded"),
			of("ip4-frag", "dont_fragment_set")),
		same(forwarder.DropLocal,
			inLocal("ip4-local", input4, "unknown_protocol", "tcp_checksum", "udp_checksum", "udp_length", "spoofed_local_packets"),
			inLocal("ip6-local", input6, "unknown_protocol", "unknown_udp_port", "icmp_checksum", "udp_checksum", "udp_length",
				"spoofed_local_packets"),
			of("ip4-udp-lookup", "no_listener"), of("ip6-udp-lookup", "no_listener")),
		same(forwarder.DropIPv6Malformed, of(input6, "too_short", "bad_length", "version")),
		own(drop, "drop-hop-limit", "the IPv6 hop limit ran out here", of(input6, "time_expired")),
		same(forwarder.DropICMPv6Unrelayed, of(map6Relay, "icmp_relay")),
		same(forwarder.DropInnerSource, of(map6, "no_domain"), of(map6Fragments, "no_domain")),
		own(drop, "drop-softwire-check", "from an lwB4, or with a source port, that no softwire of the IPv4 source address has",
			of(map6, "decap_sec_check"), of(map6Fragments, "decap_sec_check")),
		own(drop, "drop-ipv4-classifier", "an IPv4 packet that an input classifier of VPP denies, such as one without ports to a shared address",
			of(input4, "inacl_session_deny", "inacl_table_miss")),
		own(drop, "drop-ipv6-classifier", "an IPv6 packet that an input classifier of VPP denies, such as one to a BR address that is no tunnel packet",
			of(input6, "inacl_session_deny", "inacl_table_miss")),
		same(forwarder.DropFragmentBad,
			inReassembly4("reass_malformed_packet", "reass_internal_error"),
			inReassembly6("reass_missing_upper", "reass_invalid_frag_len", "reass_invalid_frag_size",
				"reass_internal_error")),
		same(forwarder.DropFragmentOverlap, inReassembly6("reass_overlapping_fragment")),
		same(forwarder.DropFragmentDuplicate,
			inReassembly4("reass_duplicate_fragment"), inReassembly6("reass_duplicate_fragment")),
		same(forwarder.DropFragmentLimit,
			inReassembly4("reass_limit_reached", "reass_fragment_chain_too_long", "reass_no_buf"),
			inReassembly6("reass_limit_reached", "reass_fragment_chain_too_long", "reass_no_buf")),
		own(drop, "drop-reassembly-timeout", "packets, not fragments, that were not complete in time",
			inReassembly4("reass_timeout"), inReassembly6("reass_timeout")),
		own(drop, "drop-fragment-handoff", "a fragment for which the queue of the worker that reassembles it was full",
			of("ip4-sv-reass-feature-hoff", "congestion drop"), of("ip4-sv-reassembly-handoff", "congestion drop"),
			of("ip6-full-reass-feature-hoff", "congestion drop"), of("ip6-full-reassembly-handoff", "congestion drop")),
		own(drop, "drop-fragmenting", "a packet that could not be cut into fragments",
			of("ip4-frag", "cant_fragment_header", "malformed", "memory", "unknown"),
			of("ip6-frag", "cant_fragment_header", "malformed", "memory", "unknown")),
		own(drop, "drop-no-route", "no route leads on, or a route that ends here; VPP counts others of its packets, too",
			of(map4, "none", "no_domain"), of(map6, "none"), of(map6Fragments, "none"),
			of(input4, "dst_lookup_miss", "none", "drop"), of(input6, "dst_lookup_miss", "none", "drop"),
			of("ethernet-input", "no error"), of("null-node", "blackholed packets")),
		own(drop, "drop-no-neighbor", "the next hop has not said its link-layer address yet",
			of("ip4-arp", "request_sent", "throttled", "no_source_address", "no_buffers"),
			of("ip4-glean", "request_sent", "throttled", "no_source_address", "no_buffers"),
			of("ip6-discover-neighbor", "request_sent", "throttled", "no_source_address", "no_buffers"),
			of("ip6-glean", "request_sent", "throttled", "no_source_address", "no_buffers")),
		same(forwarder.DropExceptionQueue, inPunt("Socket TX error")),
		own(drop, "drop-exception-rate", "a packet for the control logic above the rate at which VPP hands them over",
			of("policer-input", "Packets Dropped")),
		own(drop, "drop-injected", "a packet of the control logic that VPP did not take",
			of("punt-socket-rx", "buffer allocation failure", "socket read failure", "invalid packet descriptor")),
	}
}

func others() []event {
	const drop = false
	return []event{
		own(drop, "exceptions", "packets handed to the control logic", inPunt("Socket TX")),
		same(forwarder.EchoReplyIPv4, of("ip4-icmp-input", "echo_replies_sent")),
		same(forwarder.EchoReplyIPv6, of("ip6-icmp-input", "echo_replies_sent")),
		own(drop, "sent-icmpv4-destination", "ICMPv4 destination unreachable sent by VPP, fragmentation needed included",
			of(icmp4, "dest_unreach_sent")),
		same(forwarder.SentICMPv4TimeExceeded, of(icmp4, "ttl_expire_sent")),
		own(drop, "sent-icmpv6-destination", "ICMPv6 destination unreachable sent by VPP, mostly to unknown lwB4s",
			of(icmp6, "dest_unreach_sent")),
		own(drop, "sent-icmpv6-too-big", "ICMPv6 packet too big sent by VPP", of(icmp6, "packet_too_big_sent")),
		own(drop, "sent-icmpv6-time-exceeded", "ICMPv6 time exceeded sent by VPP", of(icmp6, "ttl_expire_sent")),
		same(forwarder.LimitedICMPv4, of(icmp4, "drop")),
		same(forwarder.LimitedICMPv6, of(icmp6, "drop")),
		own(drop, "fragments-sent", "fragments that packets were cut into", of("ip4-frag", "fragment_sent"), of("ip6-frag", "fragment_sent")),
		same(forwarder.FragmentsHeld, inReassembly4("reass_fragments_rcvd"), inReassembly6("reass_fragments_rcvd")),
		same(forwarder.Reassembled, inReassembly4("reass_success"), inReassembly6("reass_success")),
		same(forwarder.ClampedMSS, of("tcp-mss-clamping-ip4-in", "clamped"), of("tcp-mss-clamping-ip4-out", "clamped")),
	}
}
