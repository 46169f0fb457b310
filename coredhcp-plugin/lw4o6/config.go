package lw4o6

import (
	_ "embed"
	"errors"
	"path/filepath"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/source"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is what the plugin's configuration file says. reference.yaml describes
// every key.
type Config struct {
	// Store is the absolute path of the file with what is delegated.
	Store string `yaml:"store" config:"required"`
	// Router is where softwires come from.
	Router RouterConfig `yaml:"router" config:"required"`
	// DHCPv6 is what clients are answered.
	DHCPv6 server.Config `yaml:"dhcpv6" config:"required"`
}

// RouterConfig is one way to a router that grants softwires.
type RouterConfig struct {
	// Socket is the path of its control socket.
	Socket string `yaml:"socket"`
	// Address is a host and a port of its control API, with PEM files: the authority
	// of its certificate, and the certificate and key to show.
	Address     string `yaml:"address"`
	CA          string `yaml:"ca"`
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// PCP is a lwAFTR that offers no more than that.
	PCP *source.PCPConfig `yaml:"pcp"`
}

// DefaultConfig is that of an operator who says nothing.
func DefaultConfig() Config { return Config{DHCPv6: server.DefaultConfig()} }

// Validate reports what is wrong with c. Files that it names are not read.
func (c Config) Validate() error {
	errs := []error{element.At("dhcpv6", c.DHCPv6.Validate())}
	fail := func(at, format string, args ...any) { errs = append(errs, element.Errorf(at, format, args...)) }
	if !filepath.IsAbs(c.Store) || filepath.Clean(c.Store) != c.Store {
		fail("store", "%q is not an absolute, clean path", c.Store)
	}
	for i, p := range c.DHCPv6.Pools {
		if len(p.Interfaces) > 0 {
			fail(element.Item("dhcpv6.pools", i)+".interfaces", "coredhcp does not tell plugins the interface: use links, or a server for each interface")
		}
	}
	if len(c.DHCPv6.Pools) == 0 {
		fail("dhcpv6.pools", "are empty: there is nothing to delegate")
	}
	errs = append(errs, element.At("router", c.Router.Validate()))
	if c.Router.PCP != nil {
		errs = append(errs, element.At("dhcpv6", c.DHCPv6.Agrees(c.Router.PCP.Pools)))
	}
	return errors.Join(errs...)
}

// Validate reports what is wrong with r.
func (r RouterConfig) Validate() error {
	ways := 0
	for _, way := range []bool{r.Socket != "", r.Address != "", r.PCP != nil} {
		if way {
			ways++
		}
	}
	switch tls := r.CA != "" || r.Certificate != "" || r.Key != ""; {
	case ways != 1:
		return errors.New("takes one of socket, address and pcp")
	case r.Address == "" && tls:
		return errors.New("ca, certificate and key go with address")
	case r.Address != "" && (r.CA == "" || r.Certificate == "" || r.Key == ""):
		return errors.New("address takes ca, certificate and key")
	case r.Socket != "" && !filepath.IsAbs(r.Socket):
		return element.Errorf("socket", "%q is not an absolute path", r.Socket)
	case r.PCP != nil:
		return element.At("pcp", r.PCP.Validate())
	}
	return nil
}

// LoadFile reads and validates the configuration file at path. The error is
// config.Errors.
func LoadFile(path string) (Config, error) {
	c := DefaultConfig()
	_, err := config.Load(path, &c)
	return c, err
}

//go:embed reference.yaml
var reference string

// Reference is a commented configuration file with every key, that can be loaded
// as it is.
func Reference() string { return reference }
