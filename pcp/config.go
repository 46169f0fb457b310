package pcp

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is what an operator says of the server.
type Config struct {
	// Enabled has the server serve.
	Enabled bool `yaml:"enabled"`
	// Listen are addresses of the host that sockets serve, besides what the data
	// plane passes on.
	Listen []Listener `yaml:"listen"`
	// ThirdParties may ask for mappings of others (THIRD_PARTY): an external
	// provisioning system, over a network that is trusted (RFC 6887 section 13.1).
	ThirdParties []netip.Prefix `yaml:"third-parties"`
	// SoftwireNonce is what a new nonce of a lwB4 that holds a port set means.
	SoftwireNonce NonceRule `yaml:"softwire-nonce"`
	// AnyProtocol answers requests for a port of one protocol, which generic
	// clients send, with a port of the lwB4's set, which is for all protocols.
	AnyProtocol bool `yaml:"any-protocol"`
	// MoveInterval is how long a subscriber keeps a tunnel address at least (RFC
	// 7785 section 4).
	MoveInterval time.Duration `yaml:"move-interval"`
	// SourceRate and PrefixRate are how many requests per second one address, and
	// all of one prefix of PrefixLen bits, may send; more are dropped. 0 is
	// without limit. ThirdParties have none.
	SourceRate int `yaml:"source-rate"`
	PrefixRate int `yaml:"prefix-rate"`
	PrefixLen  int `yaml:"prefix-len"`
	// AnnounceRate is how many clients per second are told that state was lost, all
	// of which then ask again within a few seconds.
	AnnounceRate int `yaml:"announce-rate"`
	// MaxPending is how many requests may wait for a port set at the same time;
	// more are dropped.
	MaxPending int `yaml:"max-pending"`
	// Patience is how long one waits for a port set to be durable and programmed.
	// After that it is not answered, and the client asks again.
	Patience time.Duration `yaml:"patience"`
}

// Listener is where a socket serves.
type Listener struct {
	Address netip.Addr `yaml:"address" config:"required"`
	// Interface is the device on the access network that requests arrive on (RFC
	// 6887 section 8.2); others are not looked at.
	Interface string `yaml:"interface" config:"required"`
}

// NonceRule says what a nonce that is not that of the mapping means when it comes
// through the softwire. Over plain IPv6 it is always refused, and so is a deletion
// with it.
type NonceRule string

// The rules.
const (
	// NonceReplace takes it for that of a CPE that forgot the old one. The
	// softwire's outer address says who it is.
	NonceReplace NonceRule = "replace"
	// NonceStrict refuses it until the mapping expires (RFC 6887 section 11.3).
	NonceStrict NonceRule = "strict"
)

// DefaultConfig is that of an operator who says nothing.
func DefaultConfig() Config {
	return Config{
		SoftwireNonce: NonceReplace,
		MoveInterval:  30 * time.Minute,
		SourceRate:    10,
		PrefixRate:    50,
		PrefixLen:     56,
		AnnounceRate:  10_000,
		MaxPending:    32768,
		Patience:      10 * time.Second,
	}
}

// Bounds of a Config.
const (
	maxRate    = 1_000_000
	maxPending = 1 << 20
)

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	for i, l := range c.Listen {
		at := element.Item("listen", i)
		errs = append(errs, element.At(at, l.validate()))
		// Over IPv4 there are no lwB4s, which are known by an IPv6 address.
		if l.Address.Is4() && !slices.ContainsFunc(c.ThirdParties, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
			errs = append(errs, element.Errorf(at+".address", "%s serves third parties only: name an IPv4 prefix in third-parties", l.Address))
		}
		if slices.Contains(c.Listen[:i], l) {
			errs = append(errs, element.Errorf(at, "%s on %s twice", l.Address, l.Interface))
		}
	}
	for i, p := range c.ThirdParties {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			errs = append(errs, element.Errorf(element.Item("third-parties", i), "%s is not a prefix, or has bits of a host", p))
		}
	}
	if c.SoftwireNonce != NonceReplace && c.SoftwireNonce != NonceStrict {
		errs = append(errs, element.Errorf("softwire-nonce", "%q is not a rule; use %s or %s", c.SoftwireNonce, NonceReplace, NonceStrict))
	}
	if c.MoveInterval < 0 {
		errs = append(errs, element.Errorf("move-interval", "%s is negative", c.MoveInterval))
	}
	for _, rate := range []struct {
		key  string
		rate int
	}{{"source-rate", c.SourceRate}, {"prefix-rate", c.PrefixRate}} {
		if rate.rate < 0 || rate.rate > maxRate {
			errs = append(errs, element.Errorf(rate.key, "%d: want 0 to %d per second", rate.rate, maxRate))
		}
	}
	if c.PrefixLen < 1 || c.PrefixLen > 128 {
		errs = append(errs, element.Errorf("prefix-len", "%d is not a length of IPv6 prefixes: want 1 to 128", c.PrefixLen))
	}
	if c.AnnounceRate < 1 || c.AnnounceRate > maxRate {
		errs = append(errs, element.Errorf("announce-rate", "%d: want 1 to %d per second", c.AnnounceRate, maxRate))
	}
	if c.MaxPending < 1 || c.MaxPending > maxPending {
		errs = append(errs, element.Errorf("max-pending", "%d: want 1 to %d", c.MaxPending, maxPending))
	}
	if c.Patience <= 0 || c.Patience > time.Minute {
		errs = append(errs, element.Errorf("patience", "%s: want more than 0 and at most %s", c.Patience, time.Minute))
	}
	return errors.Join(errs...)
}

func (l Listener) validate() error {
	var errs []error
	if !unicast(l.Address) || l.Address.Is4In6() || l.Address.IsLinkLocalUnicast() {
		errs = append(errs, element.Errorf("address", "%s is not an address of the host", l.Address))
	}
	if l.Interface == "" {
		errs = append(errs, element.Errorf("interface", "is required: the device that requests arrive on, so that no other side is answered"))
	}
	return errors.Join(errs...)
}

// speaksForOthers says whether who sends may use THIRD_PARTY.
func (c *Config) speaksForOthers(from Origin) bool {
	return !from.Softwire && slices.ContainsFunc(c.ThirdParties, func(p netip.Prefix) bool { return p.Contains(from.Source) })
}
