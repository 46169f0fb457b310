package plugin

import (
	"cmp"
	"errors"
	"net/netip"
	"strings"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
)

// ForwarderConfig is the embedded data plane with its devices.
type ForwarderConfig struct {
	forwarder.Config
	IO IOConfig `yaml:"io"`
}

// IOConfig is how packets get in and out.
type IOConfig struct {
	IPv4 DeviceConfig `yaml:"ipv4"` // towards the Internet
	IPv6 DeviceConfig `yaml:"ipv6"` // towards the lwB4s
	// Queues is how many goroutines process packets.
	Queues int `yaml:"queues"`
	// Batch is how many packets are processed at a time at most.
	Batch int `yaml:"batch"`
	// Offload takes large TCP segments from the kernel and gives it such.
	Offload bool `yaml:"offload"`
}

// DeviceConfig is the device of one side.
type DeviceConfig struct {
	Type DeviceType `yaml:"type"`
	Name string     `yaml:"name"` // of the network interface
	// Addresses are given to a TUN device. Routes for pools, the router's own
	// IPv4 address and BR addresses are set without being asked for.
	Addresses []netip.Prefix `yaml:"addresses"`
	// NextHop is where a packet device sends everything; unset, it is the
	// gateway of the kernel's default route through the interface.
	NextHop netip.Addr `yaml:"next-hop"`
}

// DeviceType is tun or packet.
type DeviceType string

func defaultForwarder() ForwarderConfig {
	d := netio.DefaultConfig()
	device := func(d netio.DeviceConfig) DeviceConfig {
		return DeviceConfig{Type: DeviceType(d.Kind.String()), Name: d.Name}
	}
	return ForwarderConfig{
		Config: forwarder.DefaultConfig(),
		IO: IOConfig{
			IPv4: device(d.IPv4), IPv6: device(d.IPv6),
			Queues: d.Queues, Batch: d.Batch, Offload: !d.NoOffload,
		},
	}
}

// Validate reports what is wrong with c.
func (c ForwarderConfig) Validate() error {
	errs := []error{c.Config.Validate()}
	io, err := c.ports()
	if err == nil {
		// What is wrong with an MTU was said above, by the key that sets it.
		io.IPv4.MTU, io.IPv6.MTU = 0, 0
		err = io.Validate()
	}
	if err != nil {
		// Package netio nests its lists; each line is a problem.
		for line := range strings.Lines(err.Error()) {
			errs = append(errs, element.Errorf("io", "%s", strings.TrimSpace(line)))
		}
	}
	for i, prefix := range c.IO.IPv4.Addresses {
		if prefix.Addr() == c.IPv4Address {
			errs = append(errs, element.Errorf("ipv4-address", "%s is item %d of io.ipv4.addresses, which are for the host: use another one", c.IPv4Address, i))
		}
	}
	return errors.Join(errs...)
}

// ports is the configuration of package netio.
func (c ForwarderConfig) ports() (netio.Config, error) {
	v4, err4 := c.IO.IPv4.device(c.IPv4MTU)
	v6, err6 := c.IO.IPv6.device(c.TunnelMTU)
	if v4.Kind == netio.KindTUN && v6.Kind == netio.KindTUN && v4.Name == v6.Name {
		// One device has one MTU. The forwarder keeps to the smaller one where
		// it matters.
		v4.MTU = max(v4.MTU, v6.MTU)
		v6.MTU = v4.MTU
	}
	return netio.Config{
		IPv4: v4, IPv6: v6,
		Queues: c.IO.Queues, Batch: c.IO.Batch, NoOffload: !c.IO.Offload,
	}, cmp.Or(err4, err6)
}

// device is the configuration of one device, whose side has packets of at most
// mtu bytes.
func (c DeviceConfig) device(mtu int) (netio.DeviceConfig, error) {
	kind, err := netio.ParseKind(string(c.Type))
	d := netio.DeviceConfig{Kind: kind, Name: c.Name, Addresses: c.Addresses, NextHop: c.NextHop}
	if kind == netio.KindTUN {
		d.MTU = mtu
	}
	return d, err
}
