package lw4o6

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/sirupsen/logrus"
)

// TestSetup: what coredhcp is told when the plugin cannot be used.
func TestSetup(t *testing.T) {
	if Plugin.Name != "lw4o6" || Plugin.Setup4 != nil {
		t.Errorf("%+v", Plugin)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no argument":   {nil, "takes one argument"},
		"two arguments": {[]string{"a", "b"}, "takes one argument"},
		"no file":       {[]string{"/nonexistent/lw4o6.yaml"}, "no such file"},
		"a bad file":    {[]string{write(t, "store: x\n")}, "dhcpv6: is missing"},
		"no folder for the store": {[]string{write(t, strings.Replace(least, "/var/lib/lw4o6/", "/nonexistent/", 1))},
			"/nonexistent/dhcpv6.db"},
		"no certificates": {[]string{write(t, strings.NewReplacer(
			"socket: /run/lw4o6/control.sock", "address: \"r:1\", ca: /nonexistent/a, certificate: /nonexistent/b, key: /nonexistent/c",
			"/var/lib/lw4o6", t.TempDir(),
		).Replace(least))}, "/nonexistent/b"},
	} {
		h, err := Plugin.Setup6(c.args...)
		if h != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestHandle: an instance answers like a handler of coredhcp, without its router
// too, and remembers over a restart what it has delegated.
func TestHandle(t *testing.T) {
	dir := t.TempDir()
	c, err := LoadFile(write(t, least))
	if err != nil {
		t.Fatal(err)
	}
	c.Store, c.Router.Socket = filepath.Join(dir, "dhcpv6.db"), filepath.Join(dir, "nobody.sock")
	duid := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	var before string
	for range 2 {
		log := logrus.New()
		log.SetOutput(t.Output())
		i, err := Start(t.Context(), c, log)
		if err != nil {
			t.Fatal(err)
		}
		req := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeRequest}
		req.AddOption(dhcpv6.OptClientID(duid))
		req.AddOption(dhcpv6.OptServerID(duid))
		req.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionS46ContLW))
		req.AddOption(&dhcpv6.OptIAPD{})
		resp, err := dhcpv6.NewReplyFromMessage(req, dhcpv6.WithServerID(duid))
		if err != nil {
			t.Fatal(err)
		}
		got, stop := i.Handle(req, resp)
		if got == nil || stop {
			t.Fatal("not answered")
		}
		prefixes := got.(*dhcpv6.Message).Options.OneIAPD().Options.Prefixes()
		if len(prefixes) != 1 || got.GetOneOption(dhcpv6.OptionS46ContLW) != nil {
			t.Errorf("%s", got.Summary())
		} else if now := prefixes[0].Prefix.String(); before != "" && now != before {
			t.Errorf("%s, and after a restart %s", before, now)
		} else {
			before = now
		}
		if s := i.Stats(); s.Delegations.Pools[0].Bound != 1 {
			t.Errorf("%+v", s)
		}
		i.Stop()
		if err := i.Wait(); err != nil {
			t.Error(err)
		}
		if got, _ := i.Handle(req, resp); got != nil {
			t.Error("answered after it was stopped")
		}
	}
}
