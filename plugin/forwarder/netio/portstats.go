package netio

import "github.com/vishvananda/netlink"

// Stats reads the counters. They may be read after the port was closed.
func (p *Port) Stats() Stats {
	p.mu.RLock()
	defer p.mu.RUnlock()
	stats := Stats{Queues: len(p.queues)}
	for _, m := range p.members {
		s := DeviceStats{Name: m.name, Kind: m.kind, Sides: m.sides, Ready: true, Drops: allCauses()}
		if m.hop != nil {
			s.Ready = m.hop.destination.Load() != 0
			if address := m.hop.address.Load(); address != nil {
				s.NextHop = *address
			}
		}
		for _, d := range m.devices {
			if socket, ok := d.(*packetQueue); ok && !p.closed {
				socket.overruns()
			}
			d.count().addTo(&s)
		}
		if m.kind == KindTUN {
			s.Drops[rxOverrun].Packets = p.tunOverruns(m)
		}
		stats.Devices = append(stats.Devices, s)
	}
	return stats
}

// tunOverruns is how many packets did not fit into the queues of a TUN device.
// The kernel counts them per device and forgets them with it.
func (p *Port) tunOverruns(m *member) uint64 {
	if m.kind != KindTUN || p.closed {
		return m.overruns.Load()
	}
	link, err := p.handle.LinkByIndex(m.index)
	if err != nil {
		return m.overruns.Load()
	}
	now := droppedBy(link) - m.dropped
	m.overruns.Store(now)
	return now
}

// droppedBy is how many packets for a TUN device the kernel has dropped.
func droppedBy(link netlink.Link) uint64 {
	if statistics := link.Attrs().Statistics; statistics != nil {
		return statistics.TxDropped
	}
	return 0
}
