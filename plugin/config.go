package plugin

import (
	"errors"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/metrics"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/store/history/eventlog"
)

// Config is everything that an operator decides. reference.yaml describes every
// key.
type Config struct {
	Log       LogConfig       `yaml:"log"`
	Pools     pool.Pools      `yaml:"pools"`
	Softwires bindings.Config `yaml:"softwires"`
	Store     StoreConfig     `yaml:"store"`
	History   HistoryConfig   `yaml:"history"`
	Dataplane DataplaneConfig `yaml:"dataplane"`
	PCP       pcp.Config      `yaml:"pcp"`
	DHCPv6    DHCPv6Config    `yaml:"dhcpv6"`
	BGP       BGPConfig       `yaml:"bgp"`
	Control   control.Config  `yaml:"control"`
	Metrics   metrics.Config  `yaml:"metrics"`
}

// DataplaneConfig is which data plane forwards, and how.
type DataplaneConfig struct {
	Type      DataplaneType    `yaml:"type"`
	Reconcile reconcile.Config `yaml:"reconcile"`
	Forwarder ForwarderConfig  `yaml:"forwarder"` // for TypeForwarder
	VPP       VPPConfig        `yaml:"vpp"`       // for TypeVPP
}

// DataplaneType names a data plane.
type DataplaneType string

// The data planes.
const (
	// TypeForwarder is package forwarder: it needs nothing but a kernel.
	TypeForwarder DataplaneType = "forwarder"
	// TypeVPP is package vppdrv: FD.io VPP, which runs besides.
	TypeVPP DataplaneType = "vpp"
)

// DefaultConfig is the Config of an operator who says nothing. All defaults are
// those of the DefaultConfig functions of the parts.
func DefaultConfig() Config {
	return Config{
		Log:     LogConfig{Level: "info", Format: LogText},
		Store:   StoreConfig{MaxTimeGap: 365 * 24 * time.Hour},
		History: HistoryConfig{Events: eventlog.DefaultConfig()},
		Dataplane: DataplaneConfig{
			Type:      TypeForwarder,
			Reconcile: reconcile.DefaultConfig(),
			Forwarder: defaultForwarder(),
			VPP:       defaultVPP(),
		},
		PCP:     pcp.DefaultConfig(),
		DHCPv6:  DHCPv6Config{Config: server.DefaultConfig()},
		BGP:     BGPConfig{Announce: announce.DefaultConfig()},
		Control: control.DefaultConfig(),
	}
}

// Validate reports everything that is wrong with c, with elements (package
// element). Files that c names are not read.
func (c Config) Validate() error {
	errs := []error{
		element.At("log", c.Log.Validate()),
		element.At("store", c.Store.Validate()),
		element.At("history", c.History.Validate()),
		element.At("dataplane", c.Dataplane.Validate()),
		element.At("pcp", c.PCP.Validate()),
		element.At("dhcpv6", c.DHCPv6.Validate()),
		element.At("bgp.announce", c.BGP.Announce.Validate()),
		element.At("control", c.Control.Validate()),
		element.At("metrics", c.Metrics.Validate()),
	}
	if err := c.Pools.Validate(); err != nil {
		// What is wrong with a pool makes its softwires wrong too: those errors
		// would only hide the cause.
		errs = append(errs, element.At("pools", err))
	} else {
		errs = append(errs, element.At("softwires", c.Softwires.Validate(c.Pools.Index())), c.ownAddress(), c.needsStore(), c.servesPCP(), c.servesDHCPv6(), c.speaksBGP())
	}
	return errors.Join(errs...)
}

// ownAddress refuses an address that lwB4s share as the router's own: packets to
// it are the router's, whatever softwires say.
func (c Config) ownAddress() error {
	own, key := c.Dataplane.Forwarder.IPv4Address, "dataplane.forwarder.ipv4-address"
	if c.Dataplane.Type == TypeVPP {
		own, key = c.Dataplane.VPP.IPv4Address, "dataplane.vpp.ipv4-address"
	}
	if p, ok := c.Pools.Index().Find(own); ok {
		return element.Errorf(key, "%s is in pool %q, whose addresses are for lwB4s: use one outside of all pools", own, p.Name)
	}
	return nil
}

// Validate reports what is wrong with c.
func (c DataplaneConfig) Validate() error {
	if c.Type != TypeForwarder && c.Type != TypeVPP {
		return element.Errorf("type", "%q is not a data plane; use %q or %q", c.Type, TypeForwarder, TypeVPP)
	}
	return errors.Join(
		element.At("reconcile", c.Reconcile.Validate()),
		element.At("forwarder", c.Forwarder.Validate()),
		element.At("vpp", c.VPP.Validate()),
	)
}

// ConfigError is a Config that cannot be used. Its errors have elements, or
// places in files, and are joined by errors.Join.
type ConfigError struct{ Err error }

// Error is one line per problem.
func (e *ConfigError) Error() string { return fmt.Sprint(e.Err) }

// Unwrap is the problems.
func (e *ConfigError) Unwrap() error { return e.Err }
