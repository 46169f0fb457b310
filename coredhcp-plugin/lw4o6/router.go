package lw4o6

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/source"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// router is the way to a router, open.
type router struct {
	softwires server.Softwires
	// restore takes in what is known of softwires from before.
	restore func([]delegation.Delegation) error
	run     func(context.Context) error
	close   func()
}

// open opens the way that r names. st runs.
func (r RouterConfig) open(ctx context.Context, st *bolt.Store) (router, error) {
	if r.PCP != nil {
		return openPCP(ctx, *r.PCP, st)
	}
	c := api.NewClient(r.Socket)
	if r.Address != "" {
		tls, err := api.ClientTLS(r.CA, r.Certificate, r.Key)
		if err != nil {
			return router{}, err
		}
		c = api.NewTLSClient(r.Address, tls)
	}
	remote := source.NewRemote(c)
	return router{
		softwires: source.Leases(remote), run: remote.Run, close: c.Close,
		// The router remembers by itself.
		restore: func([]delegation.Delegation) error { return nil },
	}, nil
}

// openPCP opens the way to a lwAFTR that offers no more than PCP.
func openPCP(ctx context.Context, c source.PCPConfig, st *bolt.Store) (router, error) {
	secret, err := pcpSecret(ctx, st)
	if err != nil {
		return router{}, err
	}
	at := netip.AddrPortFrom(c.Server, pcpmsg.ServerPort)
	var conn net.PacketConn
	if c.Address.IsValid() {
		conn, err = client.ListenFrom(ctx, c.Address)
	} else {
		conn, err = client.Listen(ctx, at)
	}
	if err != nil {
		return router{}, err
	}
	closing := router{close: func() { _ = conn.Close() }}
	asks, err := client.New(conn, client.Config{Servers: []netip.AddrPort{at}})
	if err != nil {
		return closing, err
	}
	lends, err := source.NewPCP(c.Pools, asks, secret, time.Now)
	if err != nil {
		return closing, err
	}
	closing.softwires, closing.run = source.Leases(lends), asks.Run
	closing.restore = func(all []delegation.Delegation) error { return restorePCP(lends, all) }
	return closing, nil
}

// restorePCP tells who lends port sets what was lent before: what clients may hold
// yet, and what rests.
func restorePCP(lends *source.PCP, all []delegation.Delegation) error {
	for _, d := range all {
		if !d.Softwire.IPv4.IsValid() {
			continue
		}
		until := d.Until
		if d.Owing {
			until = d.Horizon
		}
		if err := lends.Restore(d.Prefix, d.Softwire, d.Owing, until); err != nil {
			return fmt.Errorf("the softwire of %s: %w", d.Prefix, err)
		}
	}
	return nil
}

// pcpState is the collection of the store with what PCP has to remember, and
// secretKey what nonces are made of.
const (
	pcpState  = "lw4o6-pcp"
	secretKey = "secret"
)

// pcpSecret is the secret of the store, which is made with the first use.
func pcpSecret(ctx context.Context, st *bolt.Store) ([]byte, error) {
	for v, err := range st.Values(ctx, pcpState) {
		if err != nil {
			return nil, err
		}
		if v.Key == secretKey {
			return v.Data, nil
		}
	}
	secret := make([]byte, 32)
	// It does not fail.
	_, _ = rand.Read(secret)
	return secret, st.Commit(ctx, store.Batch{Values: []store.Value{{Collection: pcpState, Key: secretKey, Data: secret}}})
}
