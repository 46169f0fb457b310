package server

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/store/memory"
)

// FuzzHandler: whatever a datagram holds, the server goes on, answers nothing or
// something that can be read, and never has one prefix delegated twice.
func FuzzHandler(f *testing.F) {
	oro := []dhcpv6.OptionCode{64, 86, 88, 90, 96, 111}
	for _, a := range []ask{
		{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil, {"::/60"}}, oro: oro},
		{kind: dhcpv6.MessageTypeSolicit, rapid: true, ias: [][]string{{"2001:db8:100::/56"}}, oro: oro},
		{kind: dhcpv6.MessageTypeRequest, to: serverID, ias: [][]string{nil}, oro: oro, link: "2001:db8::1", interfaceID: "1", remoteID: "2"},
		{kind: dhcpv6.MessageTypeRenew, to: serverID, ias: [][]string{{"2001:db8:100::/56", "2001:db8:200::/56"}}, oro: oro},
		{kind: dhcpv6.MessageTypeRebind, ias: [][]string{{"2001:db8:100::/56"}}, oro: oro},
		{kind: dhcpv6.MessageTypeRelease, to: serverID, ias: [][]string{{"2001:db8:100::/56"}}},
		{kind: dhcpv6.MessageTypeDecline, to: serverID, more: []dhcpv6.Option{&dhcpv6.OptIANA{}, &dhcpv6.OptIATA{}}},
		{kind: dhcpv6.MessageTypeInformationRequest, oro: oro},
	} {
		f.Add(a.message().ToBytes())
	}
	// A container with a length that lies, and a relay message without an inner one.
	f.Add([]byte("\x01\x00\x00\x01\x00\x01\x00\x04\x00\x09\x00\x00\x00\x19\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x60\xff\xff\x00\x5a"))
	f.Add(append([]byte{12, 0}, make([]byte, 32)...))

	p := testPool()
	p.DHCP4o6, p.Quota = true, 2
	c := testConfig(p)
	st := memory.New()
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := New(c, st, newSource(), time.Now, log)
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = st.Run(ctx)
	}()
	defer func() { cancel(); <-done }()
	if err := s.Load(ctx); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		answer := s.Respond(ctx, "access0", Identifier(serverID), datagram)
		if answer == nil {
			return
		}
		d, err := dhcpv6.FromBytes(answer)
		if err != nil {
			t.Fatalf("answer %x: %v", answer, err)
		}
		m, err := d.GetInnerMessage()
		if err != nil {
			t.Fatal(err)
		}
		if m.MessageType != dhcpv6.MessageTypeAdvertise && m.MessageType != dhcpv6.MessageTypeReply || m.Options.ServerID() == nil {
			t.Errorf("%s", m.Summary())
		}
		container(t, m)
		for _, pd := range m.Options.IAPD() {
			for _, o := range pd.Options.Prefixes() {
				prefix, ok := prefixOf(o.Prefix)
				if o.ValidLifetime == 0 {
					continue
				}
				if !ok || !p.holds(prefix) || prefix.Bits() != 56 {
					t.Errorf("delegated %s", o.Prefix)
				}
				if got, ok := s.keeper.Get(prefix); m.MessageType == dhcpv6.MessageTypeReply && (!ok || got.Client != string(m.Options.ClientID().ToBytes())) {
					t.Errorf("told %s, kept %+v", prefix, got)
				}
			}
		}
	})
}
