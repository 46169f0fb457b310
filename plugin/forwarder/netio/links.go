package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Links follows whether network interfaces can be sent over.
type Links struct {
	names   []string
	handle  *netlink.Handle
	updates *nl.NetlinkSocket
}

// OpenLinks subscribes to interfaces of the network namespace of the calling
// thread. The caller closes it.
func OpenLinks(names ...string) (*Links, error) {
	handle, err := OpenNetlink()
	if err != nil {
		return nil, err
	}
	updates, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("subscribe to links: %w", err)
	}
	slices.Sort(names)
	l := &Links{slices.Compact(names), handle, updates}
	if err := updates.SetReceiveTimeout(&unix.Timeval{Sec: int64(refresh / time.Second)}); err != nil {
		l.Close()
		return nil, fmt.Errorf("subscribe to links: %w", err)
	}
	return l, nil
}

// Close ends the subscription, and a Run.
func (l *Links) Close() {
	l.updates.Close()
	l.handle.Close()
}

// Run calls tell with what is wrong, in words, or nothing: at first, and when it
// may have changed, until ctx ends, and then returns nil.
func (l *Links) Run(ctx context.Context, tell func(wrong string)) error {
	stop := context.AfterFunc(ctx, l.updates.Close)
	defer stop()
	for ctx.Err() == nil {
		tell(l.wrong())
		// Whatever it says, and when it has said nothing for a while, the present
		// state is read.
		if _, _, err := l.updates.Receive(); err != nil && !temporary(err) && !errors.Is(err, unix.ENOBUFS) && ctx.Err() == nil {
			return fmt.Errorf("links: %w", err)
		}
	}
	return nil
}

// wrong says which interface cannot be sent over, or nothing.
func (l *Links) wrong() string {
	for _, name := range l.names {
		link, err := findLink(l.handle, name)
		if err != nil {
			return err.Error()
		}
		switch a := link.Attrs(); {
		case a.Flags&net.FlagUp == 0:
			return fmt.Sprintf("interface %s is switched off", name)
		// A TUN device says neither up nor down.
		case a.OperState == netlink.OperDown, a.OperState == netlink.OperLowerLayerDown, a.OperState == netlink.OperNotPresent:
			return fmt.Sprintf("interface %s has no link", name)
		}
	}
	return ""
}
