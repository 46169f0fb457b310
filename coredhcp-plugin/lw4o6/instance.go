package lw4o6

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// Instance is one use of the plugin: a server with its store and its router, and the
// goroutines that these need.
type Instance struct {
	server *server.Server
	group  *errgroup.Group
	// ctx ends with the Instance.
	ctx    context.Context
	cancel context.CancelFunc
	store  *bolt.Store
	router router
}

// Start opens the store of c, and serves until Stop, or until ctx ends. The caller
// calls Wait.
func Start(ctx context.Context, c Config, log logrus.FieldLogger) (*Instance, error) {
	if err := server.CheckNames(ctx, c.DHCPv6.Pools, net.DefaultResolver.LookupNetIP); err != nil {
		log.WithError(err).Warn("clients of PCP may not find their lwAFTR")
	}
	st, err := bolt.Open(c.Store)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	i := &Instance{group: group, ctx: ctx, cancel: cancel, store: st}
	i.run("store", st.Run)
	if err := i.serve(c, log); err != nil {
		cancel()
		return nil, errors.Join(err, i.Wait())
	}
	return i, nil
}

// serve makes the server, and has it run.
func (i *Instance) serve(c Config, log logrus.FieldLogger) (err error) {
	if i.router, err = c.Router.open(i.ctx, i.store); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	if i.server, err = server.New(c.DHCPv6, i.store, i.router.softwires, time.Now, log); err != nil {
		return err
	}
	if err := i.server.Load(i.ctx); err != nil {
		return err
	}
	if err := i.router.restore(i.server.Delegations()); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	i.run("router", i.router.run)
	i.run("delegations", i.server.Run)
	return nil
}

// run has the Instance end with f.
func (i *Instance) run(part string, f func(context.Context) error) {
	i.group.Go(func() error {
		if err := f(i.ctx); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		return nil
	})
}

// Wait returns when the Instance has ended: nil after Stop, or what failed.
func (i *Instance) Wait() error {
	err := i.group.Wait()
	if i.router.close != nil {
		i.router.close()
	}
	return errors.Join(err, i.store.Close())
}

// Stop ends the Instance.
func (i *Instance) Stop() { i.cancel() }

// Stats is how the server is, and what it has done.
func (i *Instance) Stats() server.Stats { return i.server.Stats() }
