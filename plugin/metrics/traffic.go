package metrics

import (
	"strings"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// trafficFamilies are what the data plane counted. It may begin at zero again.
func trafficFamilies() []family {
	return []family{
		gauge("counters_readable", "Whether the counters of the data plane could be read for this scrape.", nil, func(r Reading, e emitter) { e.flag(r.Traffic != nil) }),
		counter("packets_total", "Packets forwarded: encapsulated (to a lwB4), decapsulated (from a lwB4) or hairpinned (lwB4 to lwB4).", labels("direction"), forwarded(func(t dataplane.Traffic) uint64 { return t.Packets })),
		counter("bytes_total", "Bytes of these as IPv4 packets, without the tunnel header.", labels("direction"), forwarded(func(t dataplane.Traffic) uint64 { return t.Bytes })),
		counter("drops_total", "Packets dropped, by cause.", labels("cause"), counted(func(e dataplane.Event) bool { return e.Drop })),
		counter("exceptions_total", "Packets handed to the control logic, and what became of them.", labels("event"), counted(func(e dataplane.Event) bool { return !e.Drop && isException(e) })),
		counter("events_total", "What else the data plane counts: errors sent, relayed or held back, fragments, lowered MSS.", labels("event"), counted(func(e dataplane.Event) bool { return !e.Drop && !isException(e) })),
		counter("device_packets_total", "Packets that network devices received or sent.", labels("device", "direction"), devices(func(t dataplane.Traffic) uint64 { return t.Packets })),
		counter("device_bytes_total", "Bytes that network devices received or sent.", labels("device", "direction"), devices(func(t dataplane.Traffic) uint64 { return t.Bytes })),
		counter("device_drops_total", "Packets that network devices dropped, by cause.", labels("device", "cause"), func(r Reading, e emitter) {
			for _, d := range r.Devices {
				for _, drop := range d.Drops {
					e.value(float64(drop.Packets), d.Name, drop.Name)
				}
			}
		}),
	}
}

func isException(e dataplane.Event) bool { return strings.HasPrefix(e.Name, "exception") }

func forwarded(unit func(dataplane.Traffic) uint64) func(Reading, emitter) {
	return func(r Reading, e emitter) {
		if r.Traffic == nil {
			return
		}
		e.value(float64(unit(r.Traffic.Encapsulated)), "encapsulated")
		e.value(float64(unit(r.Traffic.Decapsulated)), "decapsulated")
		e.value(float64(unit(r.Traffic.Hairpinned)), "hairpinned")
	}
}

func counted(match func(dataplane.Event) bool) func(Reading, emitter) {
	return func(r Reading, e emitter) {
		if r.Traffic == nil {
			return
		}
		for _, event := range r.Traffic.Events {
			if match(event) {
				e.value(float64(event.Packets), event.Name)
			}
		}
	}
}

func devices(unit func(dataplane.Traffic) uint64) func(Reading, emitter) {
	return func(r Reading, e emitter) {
		for _, d := range r.Devices {
			e.value(float64(unit(d.Received)), d.Name, "received")
			e.value(float64(unit(d.Sent)), d.Name, "sent")
		}
	}
}
