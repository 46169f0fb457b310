package lw4o6

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/source"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// Instance is one use of the plugin: a server with its store, and the goroutines
// that these need.
type Instance struct {
	server *server.Server
	group  *errgroup.Group
	// ctx ends with the Instance.
	ctx    context.Context
	cancel context.CancelFunc
	close  func() error
}

// Start opens the store of c, and serves until Stop, or until ctx ends. The caller
// calls Wait.
func Start(ctx context.Context, c Config, log logrus.FieldLogger) (*Instance, error) {
	client, err := c.Router.client()
	if err != nil {
		return nil, err
	}
	st, err := bolt.Open(c.Store)
	if err != nil {
		return nil, err
	}
	s, err := server.New(c.DHCPv6, st, source.Remote(client), time.Now, log)
	if err == nil {
		err = s.Load(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	i := &Instance{server: s, group: group, ctx: ctx, cancel: cancel, close: func() error {
		client.Close()
		return st.Close()
	}}
	group.Go(func() error { return named("store", st.Run(ctx)) })
	group.Go(func() error { return named("delegations", s.Run(ctx)) })
	return i, nil
}

func named(part string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	return nil
}

// Wait returns when the Instance has ended: nil after Stop, or what failed.
func (i *Instance) Wait() error {
	err := i.group.Wait()
	return errors.Join(err, i.close())
}

// Stop ends the Instance.
func (i *Instance) Stop() { i.cancel() }

// Stats is how the server is, and what it has done.
func (i *Instance) Stats() server.Stats { return i.server.Stats() }

// client is the client of the router's control API.
func (r RouterConfig) client() (*api.Client, error) {
	if r.Socket != "" {
		return api.NewClient(r.Socket), nil
	}
	tls, err := api.ClientTLS(r.CA, r.Certificate, r.Key)
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	return api.NewTLSClient(r.Address, tls), nil
}
