package plugin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/listen"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/source"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// DHCPv6Config is the DHCPv6 server in the same process.
type DHCPv6Config struct {
	Enabled bool `yaml:"enabled"`
	// Listen is where it is asked.
	Listen []listen.Config `yaml:"listen"`
	// ServerID is its DUID in hexadecimal digits; empty for one that is made once.
	ServerID string `yaml:"server-id"`
	server.Config
}

// Validate reports what is wrong with c by itself.
func (c DHCPv6Config) Validate() error {
	errs := []error{c.Config.Validate()}
	for i, l := range c.Listen {
		errs = append(errs, element.At(element.Item("listen", i), l.Validate()))
	}
	if c.Follow {
		errs = append(errs, element.Errorf("follow", "there is no other plugin here that delegates prefixes"))
	}
	if c.Enabled && len(c.Listen) == 0 {
		errs = append(errs, element.Errorf("listen", "is empty: name an interface or an address"))
	}
	if c.Enabled && len(c.Pools) == 0 {
		errs = append(errs, element.Errorf("pools", "are empty: there is nothing to delegate"))
	}
	if _, err := c.duid(); err != nil {
		errs = append(errs, element.Errorf("server-id", "%w", err))
	}
	return errors.Join(errs...)
}

// duid is the DUID of the configuration, nil if it has none.
func (c DHCPv6Config) duid() (dhcpv6.DUID, error) {
	if c.ServerID == "" {
		return nil, nil
	}
	octets, err := hex.DecodeString(c.ServerID)
	if err != nil || len(octets) < 3 || len(octets) > 130 {
		return nil, fmt.Errorf("%q is not a DUID: want 6 to 260 hexadecimal digits", c.ServerID)
	}
	return dhcpv6.DUIDFromBytes(octets)
}

// servesDHCPv6 reports what is wrong with DHCPv6 in c as a whole.
func (c Config) servesDHCPv6() error {
	if !c.DHCPv6.Enabled {
		return nil
	}
	var errs []error
	if c.Store.Path == "" {
		errs = append(errs, element.Errorf("dhcpv6.enabled", "leases need a file: set store.path"))
	}
	return errors.Join(append(errs, element.At("dhcpv6", c.DHCPv6.Agrees(c.Pools)))...)
}

// startDHCPv6 has r run the DHCPv6 server, if the configuration has one. The store
// and the leases run.
func (p *Plugin) startDHCPv6(ctx context.Context, r *runner, run *running) error {
	c := p.config.DHCPv6
	if !c.Enabled {
		return nil
	}
	log := p.log.WithField("part", "dhcpv6")
	if err := server.CheckNames(ctx, c.Pools, net.DefaultResolver.LookupNetIP); err != nil {
		log.WithError(err).Warn("clients of PCP may not find their lwAFTR")
	}
	duid, err := c.duid()
	if err == nil && duid == nil {
		duid, err = storedDUID(ctx, run.store)
	}
	if err != nil {
		return fmt.Errorf("the identifier of the DHCPv6 server: %w", err)
	}
	c.MaxTimeGap = p.config.Store.MaxTimeGap
	s, err := server.New(c.Config, run.store, source.Local(run.leases), p.now, log)
	if err != nil {
		return &ConfigError{element.At("dhcpv6", err)}
	}
	if err := s.Load(ctx); err != nil {
		return fmt.Errorf("delegated prefixes: %w", err)
	}
	run.dhcpv6 = s
	r.run(ctx, "dhcpv6", s.Run)
	self := server.Identifier(duid)
	respond := func(ctx context.Context, device string, datagram []byte) []byte {
		return s.Respond(ctx, device, self, datagram)
	}
	for i, at := range c.Listen {
		socket, err := listen.Open(ctx, at, p.dhcpv6Port)
		if err != nil {
			return &ConfigError{element.At("dhcpv6", element.At(element.Item("listen", i), err))}
		}
		r.closing(socket.Close)
		r.run(ctx, "dhcpv6 at "+at.String(), func(ctx context.Context) error { return socket.Run(ctx, c.MostAtOnce(), respond) })
	}
	return nil
}

// dhcpv6State is the collection of the store with what the DHCPv6 server has to
// remember besides what it has delegated, and duidKey the key of its DUID.
const (
	dhcpv6State = "dhcpv6"
	duidKey     = "duid"
)

// storedDUID is the DUID of the store, which is made with the first use: a client
// renews with the server of the same DUID only (RFC 8415 section 11). It is a
// random DUID-UUID (section 11.5).
func storedDUID(ctx context.Context, st *bolt.Store) (dhcpv6.DUID, error) {
	for v, err := range st.Values(ctx, dhcpv6State) {
		if err != nil {
			return nil, err
		}
		if v.Key == duidKey {
			return dhcpv6.DUIDFromBytes(v.Data)
		}
	}
	duid := &dhcpv6.DUIDUUID{}
	// It does not fail.
	_, _ = rand.Read(duid.UUID[:])
	return duid, st.Commit(ctx, store.Batch{Values: []store.Value{{Collection: dhcpv6State, Key: duidKey, Data: duid.ToBytes()}}})
}

// dhcpv6Events are the counters of the DHCPv6 server.
func dhcpv6Events(s server.Stats) []api.Event {
	var events []api.Event
	for _, c := range s.Counts {
		events = append(events, api.Event{Name: "dhcpv6-" + c.Name, Meaning: c.Meaning, Drop: c.Drop, Packets: c.Count})
	}
	return events
}
