package server

import (
	"errors"
	"time"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is what an operator says of the answers.
type Config struct {
	// Identity is what a client is known by.
	Identity Identity `yaml:"identity"`
	// Follow: prefixes are delegated by somebody else, who has put them into the
	// answer already.
	Follow bool `yaml:"follow"`
	// RapidCommit answers a Solicit that asks for it with a Reply (RFC 8415 section
	// 18.3.1). It is for links with one server.
	RapidCommit bool `yaml:"rapid-commit"`
	// Preference is how much clients are to prefer this server to others of their link
	// (RFC 8415 section 21.8): at 255 they do not wait for others. 0 is not told.
	Preference int `yaml:"preference"`
	// Patience is how long a softwire is waited for, and Retry when a client that got
	// none is to ask again (T1).
	Patience time.Duration `yaml:"patience"`
	Retry    time.Duration `yaml:"retry"`
	// MaxOffers is how many prefixes may be offered at the same time, MaxPending how
	// many messages may wait.
	MaxOffers  int `yaml:"max-offers"`
	MaxPending int `yaml:"max-pending"`
	// ClientRate and LinkRate are how many messages per second one client, and all of
	// one link or relay port, may send; more are dropped. 0 is without limit.
	ClientRate int `yaml:"client-rate"`
	LinkRate   int `yaml:"link-rate"`

	Pools []Pool `yaml:"pools"`

	// MaxTimeGap is how long the server may have been off; 0 is a year. It is not of
	// the configuration: who runs the server may have a key for it.
	MaxTimeGap time.Duration
}

// Identity is what a client is known by.
type Identity string

// The identities.
const (
	// ByDUID: the client identifier (RFC 8415 section 11).
	ByDUID Identity = "duid"
	// ByInterfaceID: the relay's link-address and Interface-ID (section 21.18).
	ByInterfaceID Identity = "interface-id"
	// ByRemoteID: the relay's Remote-ID (RFC 4649).
	ByRemoteID Identity = "remote-id"
)

// DefaultConfig is that of an operator who says nothing.
func DefaultConfig() Config {
	return Config{
		Identity:    ByDUID,
		RapidCommit: true,
		Patience:    500 * time.Millisecond,
		Retry:       time.Minute,
		MaxOffers:   1 << 16,
		MaxPending:  1 << 12,
		ClientRate:  10,
		LinkRate:    0,
	}
}

// Bounds of a Config.
const (
	maxPools   = 1024
	maxOffers  = 1 << 22
	maxPending = 1 << 20
	maxRate    = 10_000_000
)

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	fail := func(at, format string, args ...any) { errs = append(errs, element.Errorf(at, format, args...)) }
	if c.Identity != ByDUID && c.Identity != ByInterfaceID && c.Identity != ByRemoteID {
		fail("identity", "%q is not an identity; use %s, %s or %s", c.Identity, ByDUID, ByInterfaceID, ByRemoteID)
	}
	if c.Patience < 10*time.Millisecond || c.Patience > 10*time.Second {
		fail("patience", "%s: want 10ms to 10s", c.Patience)
	}
	if c.Retry < time.Second || c.Retry > time.Hour {
		fail("retry", "%s: want 1s to 1h", c.Retry)
	}
	for _, n := range []struct {
		key                string
		value, least, most int
	}{
		{"preference", c.Preference, 0, 255},
		{"max-offers", c.MaxOffers, 1, maxOffers},
		{"max-pending", c.MaxPending, 1, maxPending},
		{"client-rate", c.ClientRate, 0, maxRate},
		{"link-rate", c.LinkRate, 0, maxRate},
	} {
		if n.value < n.least || n.value > n.most {
			fail(n.key, "%d: want %d to %d", n.value, n.least, n.most)
		}
	}
	if len(c.Pools) > maxPools {
		fail("pools", "%d pools; at most %d are allowed", len(c.Pools), maxPools)
	}
	for i, p := range c.Pools {
		at := element.Item("pools", i)
		errs = append(errs, element.At(at, p.Validate()))
		if p.ValidLifetime < 4*c.Retry {
			fail(element.Join(at, "valid-lifetime"), "%s: must be at least 4 times retry, %s", p.ValidLifetime, c.Retry)
		}
		for j, q := range c.Pools[:i] {
			if q.Name == p.Name {
				fail(element.Join(at, "name"), "%q is the name of pool %d too", p.Name, j)
			}
			if prefix, ok := p.Overlap(q.Pool); ok {
				fail(element.Join(at, "prefixes"), "%s overlaps pool %q", prefix, q.Name)
			}
		}
	}
	return errors.Join(errs...)
}

// Delegation is how delegations are kept for c.
func (c Config) Delegation() delegation.Config {
	d := delegation.DefaultConfig()
	d.MaxOffers, d.Retry, d.Patience = c.MaxOffers, min(c.Retry, d.Retry), c.Patience
	if c.MaxTimeGap != 0 {
		d.Clock.Start = c.MaxTimeGap
	}
	if !c.Follow {
		for _, p := range c.Pools {
			d.Pools = append(d.Pools, p.Pool)
		}
	}
	return d
}
