package metrics

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is where Prometheus finds the metrics.
type Config struct {
	// Listen is an IP address and a port; the zero AddrPort is nowhere.
	Listen netip.AddrPort `yaml:"listen"`
}

// Validate reports what is wrong with c, with elements (package element).
func (c Config) Validate() error {
	if c.Listen.IsValid() && c.Listen.Port() == 0 {
		return element.Errorf("listen", "%s has no port; use an IP address and a port, such as [::1]:9446", c.Listen)
	}
	return nil
}
