package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// childVariable names the environment variable that makes a process a child.
const childVariable = "LW4O6_CHAOS_CHILD"

// Descriptors of a child.
const (
	requestsFile = 3
	planeFile    = 4
)

// Names in a child's folder.
const (
	storeName   = "store"
	historyName = "history"
)

// maybeChild does not return in a process that is a child.
func maybeChild() {
	text, ok := os.LookupEnv(childVariable)
	if !ok {
		return
	}
	var s settings
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		err = child(context.Background(), s)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// child is a router without packets. It runs until something fails, or until the
// process is killed.
func child(ctx context.Context, s settings) error {
	if err := disk.Attach(); err != nil {
		return err
	}
	requests, err := connection(requestsFile)
	if err != nil {
		return err
	}
	remote, err := connection(planeFile)
	if err != nil {
		return err
	}
	st, err := bolt.Open(filepath.Join(s.Folder, storeName))
	if err != nil {
		return err
	}
	log := logrus.New()
	log.SetLevel(logrus.FatalLevel)
	past, err := history.Open(filepath.Join(s.Folder, historyName), history.Config{}, log)
	if err != nil {
		return err
	}
	table := softwire.NewTable()
	config := reconcile.DefaultConfig()
	config.RetryMin, config.RetryMax = time.Millisecond, 20*time.Millisecond
	rec, err := reconcile.New(config, table, network(s.Pools), remotePlane{rpc.NewClient(remote)}, log)
	if err != nil {
		return err
	}
	provisioning := provision.DefaultConfig()
	provisioning.Retry = 10 * time.Millisecond
	wall := func() time.Time { return time.Now().Add(s.Ahead) }
	p := provision.New(provisioning, st, table, rec, wall, log)
	if err := p.Load(ctx, s.Pools); err != nil {
		return err
	}
	rec.Complete()
	server := rpc.NewServer()
	if err := server.RegisterName(routerService, &Router{p, rec, st}); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return st.Run(ctx) })
	group.Go(func() error { return rec.Run(ctx) })
	group.Go(func() error { return p.Run(ctx) })
	group.Go(func() error { return past.Run(ctx) })
	group.Go(func() error { return history.Drain(ctx, st, log, past) })
	group.Go(func() error {
		<-ctx.Done()
		return requests.Close() // and so ends what serves it
	})
	group.Go(func() error {
		server.ServeConn(requests)
		return errors.New("the parent is gone")
	})
	return group.Wait()
}

func network(pools pool.Pools) dataplane.Network {
	return dataplane.Network{Pools: pools.Prefixes(), BRs: pools.BRs()}
}

// connection is the socket that the parent left as a descriptor.
func connection(fd uintptr) (net.Conn, error) {
	f := os.NewFile(fd, "parent")
	c, err := net.FileConn(f)
	return c, errors.Join(err, f.Close())
}

// Router is what a parent may ask.
type Router struct {
	p     *provision.Provisioner
	rec   *reconcile.Reconciler
	store store.Store
}

// Do does what is asked.
func (r *Router) Do(ask Ask, answer *Answer) error {
	ctx, cancel := context.WithTimeout(context.Background(), ask.Patience)
	defer cancel()
	q := provision.Request{B4: ask.B4, Mechanism: pool.DHCPv6, Lifetime: ask.Lifetime}
	var l provision.Lease
	var err error
	switch ask.Action {
	case Acquire:
		l, err = r.p.Acquire(ctx, q)
	case Renew:
		l, err = r.p.Renew(ctx, q)
	case Release:
		err = r.p.Release(ctx, q)
	case Remove:
		var key softwire.Key
		if key, err = ask.Key.key(); err == nil {
			err = r.p.Remove(ctx, key, "by an operator")
		}
	}
	if err != nil {
		answer.Problem = err.Error()
		return nil
	}
	if l.Key().IPv4.IsValid() {
		answer.Key, answer.Expires = toWire(l.Key()), l.Expires
	}
	return nil
}

// Show shows a lease.
func (r *Router) Show(key wireKey, shown *Shown) error {
	k, err := key.key()
	if err != nil {
		return err
	}
	if l, ok := r.p.Lease(k); ok {
		*shown = Shown{Bound: l.State == lease.Bound, Subscriber: l.Subscriber}
	}
	return nil
}

// State says how the child is.
func (r *Router) State(_ Nothing, state *State) error {
	select {
	case <-r.rec.Ready():
		state.Ready = true
	default:
	}
	state.Outbox = r.store.Stats().Outbox
	return nil
}
