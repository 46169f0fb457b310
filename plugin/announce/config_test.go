package announce

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

func testPools() pool.Pools {
	return pool.Pools{
		testPool("a", "192.0.2.0/25", "2001:db8:ffff::1"),
		testPool("b", "192.0.2.128/25", "2001:db8:ffff::1"),
		testPool("c", "198.51.100.0/24", "2001:db8:fffe::1"),
	}
}

// TestRoutes: pools are announced as they are unless something wider is, and BR
// addresses too.
func TestRoutes(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*Config)
		want   []string
	}{
		"as they are": {func(*Config) {}, []string{
			"192.0.2.0/25 a", "192.0.2.128/25 b", "198.51.100.0/24 c",
			"2001:db8:fffe::1/128 c", "2001:db8:ffff::1/128 a,b",
		}},
		"aggregates": {func(c *Config) {
			c.Aggregates = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
		}, []string{"192.0.2.0/24 a,b", "198.51.100.0/24 c", "2001:db8::/32 a,b,c"}},
		"blackhole": {func(c *Config) {
			c.Blackhole = BlackholeConfig{true, []netip.Addr{netip.MustParseAddr("198.51.100.7")}}
		}, []string{
			"192.0.2.0/25 a", "192.0.2.128/25 b", "198.51.100.0/24 c", "198.51.100.7/32 c blackhole",
			"2001:db8:fffe::1/128 c", "2001:db8:ffff::1/128 a,b",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig()
			c.config(&config)
			if err := config.Validate(); err != nil {
				t.Fatal(err)
			}
			routes, err := config.Routes(testPools())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range routes {
				line := r.Prefix.String() + " " + strings.Join(r.Pools, ",")
				if r.Blackhole {
					line += " blackhole"
				}
				got = append(got, line)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestContradictions: what cannot be meant is refused, with its element.
func TestContradictions(t *testing.T) {
	prefix := netip.MustParsePrefix
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"host bits":               {func(c *Config) { c.Aggregates = []netip.Prefix{prefix("192.0.2.1/24")} }, "aggregates[0]"},
		"overlap":                 {func(c *Config) { c.Aggregates = []netip.Prefix{prefix("192.0.2.0/24"), prefix("192.0.2.0/25")} }, "aggregates[1]"},
		"more specific":           {func(c *Config) { c.Aggregates = []netip.Prefix{prefix("198.51.100.0/25")} }, "aggregates[0]"},
		"of nothing":              {func(c *Config) { c.Aggregates = []netip.Prefix{prefix("203.0.113.0/24")} }, "aggregates[0]"},
		"blackhole not enabled":   {func(c *Config) { c.Blackhole.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }, "blackhole.addresses"},
		"blackhole of no pool":    {func(c *Config) { c.Blackhole = BlackholeConfig{true, []netip.Addr{netip.MustParseAddr("203.0.113.1")}} }, "blackhole.addresses[0]"},
		"relative state file":     {func(c *Config) { c.StateFile = "json" }, "state-file"},
		"start-wait":              {func(c *Config) { c.StartWait = 0 }, "start-wait"},
		"hold-down":               {func(c *Config) { c.HoldDown = -1 }, "hold-down"},
		"max below hold-down":     {func(c *Config) { c.MaxHoldDown = time.Second }, "max-hold-down"},
		"flap-window":             {func(c *Config) { c.FlapWindow = 0 }, "flap-window"},
		"flap-limit":              {func(c *Config) { c.FlapLimit = -1 }, "flap-limit"},
		"share":                   {func(c *Config) { c.MaxUnprogrammed = 101 }, "max-unprogrammed"},
		"unprogrammed-for":        {func(c *Config) { c.UnprogrammedFor = 25 * time.Hour }, "unprogrammed-for"},
		"lag-alarm":               {func(c *Config) { c.LagAlarm = 0 }, "lag-alarm"},
		"drain of less than none": {func(c *Config) { c.Drain.Max = time.Second }, "drain.max"},
		"idle":                    {func(c *Config) { c.Drain.Idle = -1 }, "drain.idle"},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig()
			c.change(&config)
			err := config.Validate()
			if err == nil {
				_, err = config.Routes(testPools())
			}
			for _, e := range element.Each(err) {
				if at, ok := e.(*element.Error); ok && at.Path == c.want {
					return
				}
			}
			t.Errorf("%v, want an error of %s", err, c.want)
		})
	}
}
