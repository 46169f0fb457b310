package server

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/memory"
)

// br is the BR address of all tests.
var br = netip.MustParseAddr("2001:db8:ffff::1")

// source is a Softwires: port sets of 64, one for each prefix, in the order in which
// they are asked for.
type source struct {
	mu       sync.Mutex
	next     uint16
	given    map[netip.Prefix]Grant
	released []netip.Prefix
	lasts    time.Duration // 0: as long as is wanted
	// fails is the error of every call, and slow has calls wait until the context
	// ends.
	fails error
	slow  bool
	// unprogrammed, if it is set, is the error of Acquire when what is granted has
	// become durable in store already.
	unprogrammed error
	store        *memory.Store
	// foreign are softwires that came another way.
	foreign map[netip.Prefix]Grant
}

func newSource() *source {
	return &source{given: make(map[netip.Prefix]Grant), foreign: make(map[netip.Prefix]Grant)}
}

func (s *source) set(fails error, slow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.slow = fails, slow
}

func (s *source) wait(ctx context.Context) error {
	s.mu.Lock()
	slow, fails := s.slow, s.fails
	s.mu.Unlock()
	if slow {
		<-ctx.Done()
		return ctx.Err()
	}
	return fails
}

func (s *source) grant(w Want, keep bool) (Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := s.foreign[w.Prefix]; ok {
		return g, nil
	}
	g, ok := s.given[w.Prefix]
	if !ok {
		set, err := portset.Of(0, 6, 1+s.next%63)
		if err != nil {
			return Grant{}, err
		}
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(s.next / 63)})
		b4, err := softwire.TunnelAddress(w.Prefix, ip, set)
		if err != nil {
			return Grant{}, err
		}
		g.Softwire = softwire.Softwire{IPv4: ip, PortSet: set, B4: b4, BR: br}
	}
	lasts := w.Lifetime
	if s.lasts != 0 {
		lasts = s.lasts
	}
	g.Expires = time.Now().Add(lasts)
	if keep {
		if !ok {
			s.next++
		}
		s.given[w.Prefix] = g
	}
	return g, nil
}

func (s *source) Offer(ctx context.Context, w Want) (Grant, error) {
	if err := s.wait(ctx); err != nil {
		return Grant{}, err
	}
	return s.grant(w, false)
}

func (s *source) Acquire(ctx context.Context, w Want) (Grant, error) {
	if err := s.wait(ctx); err != nil {
		return Grant{}, err
	}
	g, err := s.grant(w, true)
	if err != nil || s.unprogrammed == nil {
		return g, err
	}
	values, done := w.Along(g)
	err = s.store.Commit(ctx, store.Batch{Values: values})
	done(err)
	return Grant{}, errors.Join(err, s.unprogrammed)
}

func (s *source) Release(ctx context.Context, w Want) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.given[w.Prefix]; ok {
		s.released = append(s.released, w.Prefix)
	}
	return nil
}

// releases are the prefixes whose softwires were given back.
func (s *source) releases() []netip.Prefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.released)
}

// testPool is a pool of 256 prefixes.
func testPool() Pool {
	var p Pool
	p.SetDefaults()
	p.Name = "access"
	p.Prefixes = []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/48")}
	return p
}

func testConfig(pools ...Pool) Config {
	c := DefaultConfig()
	c.ClientRate = 0
	c.Pools = pools
	return c
}

// scene is a server that runs, inside of synctest.Test.
type scene struct {
	t      *testing.T
	server *Server
	store  *memory.Store
	source *source
	logged *logtest.Hook
	stop   func()
	// broken has the error of every commit.
	broken *atomic.Pointer[error]
}

func newScene(t *testing.T, c Config) *scene {
	return startScene(t, c, memory.New(), newSource())
}

func startScene(t *testing.T, c Config, st *memory.Store, src *source) *scene {
	t.Helper()
	src.store = st
	broken := new(atomic.Pointer[error])
	st.OnCommit = func(context.Context, store.Batch) error {
		if err := broken.Load(); err != nil {
			return *err
		}
		return nil
	}
	log, logged := logtest.NewNullLogger()
	s, err := New(c, st, src, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = st.Run(ctx) })
	if err := s.Load(ctx); err != nil {
		t.Fatal(err)
	}
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			running.Wait()
		}
	}
	t.Cleanup(stop)
	return &scene{t, s, st, src, logged, stop, broken}
}

// restart is the scene after the process died and began again.
func (s *scene) restart(c Config) *scene {
	s.t.Helper()
	next := s.store.Restart()
	s.stop()
	return startScene(s.t, c, next, s.source)
}

var (
	serverID = &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	clientID = client(1)
)

func client(n uint32) dhcpv6.DUID {
	return &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: binary.BigEndian.AppendUint32([]byte{2, 1}, n)}
}

// ask is a message of a client. Its IA_PDs have the IAIDs from 1 on.
type ask struct {
	kind dhcpv6.MessageType
	from dhcpv6.DUID // clientID if nil
	to   dhcpv6.DUID
	// ias has for each IA_PD its prefixes.
	ias   [][]string
	oro   []dhcpv6.OptionCode
	id    dhcpv6.TransactionID
	rapid bool
	more  []dhcpv6.Option
	// link, if set, has the message come by a relay with these.
	link                  string
	interfaceID, remoteID string
}

func (a ask) message() dhcpv6.DHCPv6 {
	if a.from == nil {
		a.from = clientID
	}
	m := &dhcpv6.Message{MessageType: a.kind, TransactionID: a.id}
	m.AddOption(dhcpv6.OptClientID(a.from))
	if a.to != nil {
		m.AddOption(dhcpv6.OptServerID(a.to))
	}
	if len(a.oro) > 0 {
		m.AddOption(dhcpv6.OptRequestedOption(a.oro...))
	}
	if a.rapid {
		m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	}
	for i, prefixes := range a.ias {
		pd := &dhcpv6.OptIAPD{IaId: [4]byte{0, 0, 0, byte(i + 1)}}
		for _, p := range prefixes {
			pd.Options.Add(prefixOption(netip.MustParsePrefix(p), 0, 0))
		}
		m.AddOption(pd)
	}
	for _, o := range a.more {
		m.AddOption(o)
	}
	if a.link == "" {
		return m
	}
	relay := &dhcpv6.RelayMessage{
		MessageType: dhcpv6.MessageTypeRelayForward,
		LinkAddr:    net.ParseIP(a.link), PeerAddr: net.ParseIP("fe80::1"),
	}
	if a.interfaceID != "" {
		relay.AddOption(dhcpv6.OptInterfaceID([]byte(a.interfaceID)))
	}
	if a.remoteID != "" {
		relay.AddOption(&dhcpv6.OptRemoteID{EnterpriseNumber: 1, RemoteID: []byte(a.remoteID)})
	}
	relay.AddOption(dhcpv6.OptRelayMessage(m))
	return relay
}

// send sends a message and returns what is answered, nil for nothing.
func (s *scene) send(a ask) *dhcpv6.Message {
	s.t.Helper()
	answer := s.server.Respond(s.t.Context(), "access0", Identifier(serverID), a.message().ToBytes())
	if answer == nil {
		return nil
	}
	d, err := dhcpv6.FromBytes(answer)
	if err != nil {
		s.t.Fatalf("answer %x: %v", answer, err)
	}
	m, err := d.GetInnerMessage()
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// must is send for a message that has to be answered.
func (s *scene) must(a ask) *dhcpv6.Message {
	s.t.Helper()
	m := s.send(a)
	if m == nil {
		s.t.Fatalf("%s is not answered", a.kind)
	}
	return m
}

// request is a Request of one IA_PD with option 96.
func (s *scene) request(from dhcpv6.DUID, wishes ...string) *dhcpv6.Message {
	s.t.Helper()
	return s.must(ask{kind: dhcpv6.MessageTypeRequest, from: from, to: serverID, ias: [][]string{wishes}, oro: lw})
}

var lw = []dhcpv6.OptionCode{dhcpv6.OptionS46ContLW}

// delegated is the prefix of an IA_PD that lasts; the zero Prefix if there is none.
func delegated(m *dhcpv6.Message, iaid uint32) netip.Prefix {
	p := prefixIn(m, iaid)
	if p == nil {
		return netip.Prefix{}
	}
	prefix, _ := prefixOf(p.Prefix)
	return prefix
}

func prefixIn(m *dhcpv6.Message, iaid uint32) *dhcpv6.OptIAPrefix {
	for _, pd := range m.Options.IAPD() {
		if binary.BigEndian.Uint32(pd.IaId[:]) != iaid {
			continue
		}
		for _, p := range pd.Options.Prefixes() {
			if p.ValidLifetime > 0 {
				return p
			}
		}
	}
	return nil
}

// statusOf is the status of an IA_PD.
func statusOf(m *dhcpv6.Message, iaid uint32) iana.StatusCode {
	for _, pd := range m.Options.IAPD() {
		if binary.BigEndian.Uint32(pd.IaId[:]) == iaid && pd.Options.Status() != nil {
			return pd.Options.Status().StatusCode
		}
	}
	return iana.StatusSuccess
}

// container is option 96 of a message, nil if it has none.
func container(t *testing.T, m *dhcpv6.Message) *s46.LW {
	t.Helper()
	o := m.GetOneOption(dhcpv6.OptionS46ContLW)
	if o == nil {
		return nil
	}
	parsed, err := s46.Parse(o.Code(), o.ToBytes())
	if err != nil {
		t.Fatal(err)
	}
	return parsed.(*s46.LW)
}

var errDown = errors.New("the router is down")
