package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// The binding table of the bench: a pool with psid-len 6, PSID 0 (the system
// ports) given to nobody.
const (
	psidLen     = 6
	setsUsed    = 1<<psidLen - 1
	maxBindings = 16384 * setsUsed // 1,032,192: the whole pool
)

var (
	pool      = netip.MustParsePrefix("100.64.0.0/18")
	brAddress = netip.MustParseAddr("2001:db8:ffff::1")
	host      = netip.MustParseAddrPort("198.51.100.7:443")
)

// binding returns the i-th binding, from 0 to maxBindings-1.
func binding(i int) (softwire.Softwire, error) {
	ports, err := portset.Of(0, psidLen, uint16(i%setsUsed+1))
	if err != nil {
		return softwire.Softwire{}, err
	}
	ip := pool.Addr().As4()
	binary.BigEndian.PutUint32(ip[:], binary.BigEndian.Uint32(ip[:])+uint32(i/setsUsed))
	b4 := netip.MustParseAddr("2001:db8::1").As16()
	binary.BigEndian.PutUint32(b4[4:], uint32(i))
	return softwire.Softwire{IPv4: netip.AddrFrom4(ip), PortSet: ports, B4: netip.AddrFrom16(b4), BR: brAddress}, nil
}

// makeBindings returns the first n.
func makeBindings(n int) ([]softwire.Softwire, error) {
	all := make([]softwire.Softwire, n)
	for i := range all {
		s, err := binding(i)
		if err != nil {
			return nil, err
		}
		all[i] = s
	}
	return all, nil
}

// newForwarder returns a Forwarder without interfaces that has all of them.
func newForwarder(ctx context.Context, c forwarder.Config, all []softwire.Softwire) (*forwarder.Forwarder, error) {
	f, err := forwarder.New(c, noIO{})
	if err != nil {
		return nil, err
	}
	if err := f.Configure(ctx, dataplane.Network{Pools: []netip.Prefix{pool}, BRs: []netip.Addr{brAddress}}); err != nil {
		return nil, err
	}
	const batch = 4096
	ops := make([]dataplane.Op, 0, batch)
	for start := 0; start < len(all); start += batch {
		ops = ops[:0]
		for _, s := range all[start:min(start+batch, len(all))] {
			ops = append(ops, dataplane.Op{Kind: dataplane.Put, Softwire: s})
		}
		results, err := f.Apply(ctx, ops)
		if err != nil {
			return nil, err
		}
		for i, r := range results {
			if r.Outcome != dataplane.Programmed {
				return nil, fmt.Errorf("%s: %w", ops[i].Softwire, r.Err)
			}
		}
	}
	return f, nil
}

// noIO is no I/O: workers are called directly.
type noIO struct{}

var errNoIO = errors.New("this forwarder has no interfaces")

func (noIO) Run(context.Context, func() *forwarder.Worker) error { return errNoIO }
func (noIO) Send(context.Context, dataplane.Side, []byte) error  { return errNoIO }
