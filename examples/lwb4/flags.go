package main

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/pflag"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/settings"
	"github.com/lwaftr/lw4o6/plugin/config"
)

// flags are those that a file's values can be given or replaced by.
type flags struct {
	file string
	to   settings.Config // where flags are read to
}

func (s *flags) add(f *pflag.FlagSet) {
	s.to = settings.Default()
	f.StringVarP(&s.file, "config", "c", "", "configuration file; flags override what it says")
	text := func(to encoding.TextUnmarshaler, name, usage string) {
		f.Var(&textValue{to: to}, name, usage)
	}
	w := &s.to.Softwire
	text(&w.B4, "b4-ipv6-addr", "IPv6 address of this end of the softwire; added to the tunnel device if no interface has it")
	text(&w.BR, "br-ipv6-addr", "IPv6 address of the lwAFTR")
	text(&w.IPv4, "ipv4-addr", "IPv4 address to translate to")
	f.Uint8Var(&w.PSIDOffset, "psid-offset", 0, "bits before the PSID in a port (a)")
	f.Uint8Var(&w.PSIDLen, "psid-len", 0, "bits of the PSID (k); 0 for a whole address")
	f.Uint16Var(&w.PSID, "psid", 0, "which port set is ours")
	f.StringVar(&s.to.LAN.Interface, "lan", "", "interface of the LAN")
	text(&s.to.LAN.Prefix, "lan-prefix", "IPv4 prefix of the LAN")
	f.IntVar(&s.to.Tunnel.MTU, "mtu", s.to.Tunnel.MTU, "largest IPv6 packet to send, in octets")
	f.StringVar((*string)(&s.to.Tunnel.Kind), "tunnel", string(s.to.Tunnel.Kind), "who runs the tunnel: auto, kernel or user")
}

// unchecked is a Config that is not validated when it is read, because flags
// may complete it.
type unchecked settings.Config

// config puts file and flags together and validates the result.
func (s *flags) config(f *pflag.FlagSet) (settings.Config, error) {
	if s.file == "" {
		return s.to, s.to.Validate()
	}
	// Reading the file overwrites what the flags have set, so they are set once
	// more.
	given := map[*pflag.Flag]string{}
	f.Visit(func(flag *pflag.Flag) { given[flag] = flag.Value.String() })
	s.to = settings.Default()
	doc, err := config.Load(s.file, (*unchecked)(&s.to))
	if err != nil {
		return s.to, err
	}
	for flag, text := range given {
		if err := flag.Value.Set(text); err != nil {
			return s.to, fmt.Errorf("--%s: %w", flag.Name, err)
		}
	}
	return s.to, doc.Locate(s.to.Validate())
}

// textValue is a flag that is read by UnmarshalText.
type textValue struct {
	to   encoding.TextUnmarshaler
	text string
}

var _ pflag.Value = (*textValue)(nil)

// Set implements pflag.Value.
func (v *textValue) Set(text string) error {
	v.text = text
	if err := v.to.UnmarshalText([]byte(text)); err != nil {
		return errors.New("not an " + v.Type())
	}
	return nil
}

// String implements pflag.Value.
func (v *textValue) String() string { return v.text }

// Type implements pflag.Value: what help shows as the kind of value.
func (v *textValue) Type() string {
	if _, ok := v.to.(*netip.Prefix); ok {
		return "address/length"
	}
	return "address"
}
