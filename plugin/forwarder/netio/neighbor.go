package netio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// refresh is how often the kernel is asked to confirm the next hop, and how
// soon a change of the default route or of our own link address is noticed.
const refresh = 5 * time.Second

// usable are the states in which a neighbour's link address may be used, as in
// the kernel's NUD_VALID.
const usable = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE |
	netlink.NUD_PROBE | netlink.NUD_STALE | netlink.NUD_DELAY

// nextHop is where a side's packets go.
type nextHop struct {
	// Both link addresses: six bytes, right-justified. The one of the next hop
	// is zero while it is not known.
	destination, source atomic.Uint64
	address             atomic.Pointer[netip.Addr] // nil if there is none
}

// neighbor keeps hop up to date from the kernel's neighbour table, which does
// ARP and neighbour discovery for us.
type neighbor struct {
	hop nextHop

	log        logrus.FieldLogger
	handle     *netlink.Handle
	updates    *nl.NetlinkSocket
	index      int
	side       dataplane.Side
	configured netip.Addr // zero: the default route's gateway
	current    netip.Addr // zero: none
}

// openNeighbor subscribes to the neighbours of link. No packet is sent before
// run.
func openNeighbor(handle *netlink.Handle, link netlink.Link, side dataplane.Side, configured netip.Addr, log logrus.FieldLogger) (*neighbor, error) {
	updates, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_NEIGH)
	if err != nil {
		return nil, fmt.Errorf("subscribe to neighbours: %w", err)
	}
	n := &neighbor{
		log:        log.WithField("device", link.Attrs().Name),
		handle:     handle,
		updates:    updates,
		index:      link.Attrs().Index,
		side:       side,
		configured: configured,
	}
	if err := updates.SetReceiveTimeout(&unix.Timeval{Sec: int64(refresh / time.Second)}); err != nil {
		n.close()
		return nil, fmt.Errorf("subscribe to neighbours: %w", err)
	}
	return n, nil
}

func (n *neighbor) close() {
	n.updates.Close()
}

// run follows the neighbour table until ctx ends, and then returns nil.
func (n *neighbor) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, n.close)
	defer stop()
	for due := time.Now(); ctx.Err() == nil; {
		if !time.Now().Before(due) {
			n.refresh()
			due = time.Now().Add(refresh)
		}
		messages, _, err := n.updates.Receive()
		switch {
		case err == nil, temporary(err), ctx.Err() != nil:
		case errors.Is(err, unix.ENOBUFS):
			due = time.Now() // updates were lost: read the table
		default:
			return fmt.Errorf("neighbours of interface %d: %w", n.index, err)
		}
		for _, message := range messages {
			if message.Header.Type != unix.RTM_NEWNEIGH && message.Header.Type != unix.RTM_DELNEIGH {
				continue
			}
			update, err := netlink.NeighDeserialize(message.Data)
			if err != nil {
				continue
			}
			if message.Header.Type == unix.RTM_DELNEIGH {
				update.State = netlink.NUD_NONE
			}
			n.learn(update)
		}
	}
	return nil
}

// refresh finds out where packets go and what is known of it, and has the
// kernel resolve or confirm it.
func (n *neighbor) refresh() {
	link, err := n.handle.LinkByIndex(n.index)
	if err != nil {
		n.log.WithError(err).Warn("cannot read the interface")
		return
	}
	n.hop.source.Store(linkAddress(link.Attrs().HardwareAddr))

	target := n.configured
	if !target.IsValid() {
		gateway, err := gatewayOf(n.handle, n.index, n.side)
		if err != nil {
			n.log.WithError(err).Warn("cannot find the default gateway")
			return
		}
		target, _ = netip.AddrFromSlice(gateway)
		target = target.Unmap()
	}
	if target != n.current {
		n.log.WithFields(logrus.Fields{"side": n.side, "next-hop": target}).Info("next hop")
		n.current = target
		n.hop.destination.Store(0)
		n.hop.address.Store(&target)
	}
	if !target.IsValid() {
		return
	}
	// NTF_USE is what the kernel itself does when it sends to a neighbour: it
	// begins resolution, and confirms what has not been confirmed for a while.
	use := &netlink.Neigh{
		LinkIndex: n.index,
		IP:        target.AsSlice(),
		Flags:     netlink.NTF_USE,
		State:     netlink.NUD_NONE,
	}
	if err := n.handle.NeighSet(use); err != nil {
		n.log.WithError(err).WithField("next-hop", target).Warn("cannot resolve the next hop")
	}
	known, err := n.handle.NeighList(n.index, familyOf(n.side))
	if err != nil {
		n.log.WithError(err).Warn("cannot read the neighbour table")
		return
	}
	for i := range known {
		n.learn(&known[i])
	}
}

// learn takes what is said of one neighbour, if it is the next hop.
func (n *neighbor) learn(update *netlink.Neigh) {
	address, _ := netip.AddrFromSlice(update.IP)
	if update.LinkIndex != n.index || address.Unmap() != n.current || !n.current.IsValid() {
		return
	}
	var destination uint64
	if update.State&usable != 0 {
		destination = linkAddress(update.HardwareAddr)
	}
	if before := n.hop.destination.Swap(destination); before != destination {
		n.log.WithFields(logrus.Fields{
			"next-hop": n.current, "link-address": update.HardwareAddr, "resolved": destination != 0,
		}).Info("next hop's link address")
	}
}

// present reports whether the interface is still there.
func (n *neighbor) present() bool {
	_, err := n.handle.LinkByIndex(n.index)
	var missing netlink.LinkNotFoundError
	return !errors.As(err, &missing)
}

// linkAddress is an Ethernet address in the lower six bytes, zero if a is none.
func linkAddress(a net.HardwareAddr) uint64 {
	if len(a) != 6 {
		return 0
	}
	return uint64(binary.BigEndian.Uint16(a))<<32 | uint64(binary.BigEndian.Uint32(a[2:]))
}
