package server

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// renew is a Renew of one prefix with option 96.
func renew(prefix netip.Prefix) ask {
	return ask{kind: dhcpv6.MessageTypeRenew, to: serverID, ias: [][]string{{prefix.String()}}, oro: lw}
}

// TestSlowSource: a source of softwires that is slow, down or empty never keeps a
// client from its prefix.
func TestSlowSource(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails error
		slow  bool
		t1    time.Duration
	}{
		{"slow", nil, true, time.Minute},
		{"down", errDown, false, time.Minute},
		{"exhausted", ErrNone, false, 6 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, testConfig(testPool()))
				s.source.set(c.fails, c.slow)
				began := time.Now()
				m := s.request(clientID)
				if took := time.Since(began); took > 500*time.Millisecond {
					t.Errorf("answered after %s", took)
				}
				prefix := delegated(m, 1)
				if !prefix.IsValid() || container(t, m) != nil || m.Options.OneIAPD().T1 != c.t1 {
					t.Errorf("%s", m.Summary())
				}
				if c.slow {
					if m := s.must(ask{kind: dhcpv6.MessageTypeSolicit, from: client(2), ias: [][]string{nil}, oro: lw}); container(t, m) != nil || !delegated(m, 1).IsValid() {
						t.Errorf("%s", m.Summary())
					}
				}
				s.source.set(nil, false)
				m = s.must(renew(prefix))
				if container(t, m) == nil || delegated(m, 1) != prefix || m.Options.OneIAPD().T1 != 6*time.Hour {
					t.Errorf("when it is back: %s", m.Summary())
				}
			})
		})
	}
}

// TestMaybeGranted: a softwire that was asked for and not had in time is given back
// with its prefix, since its source may have granted it.
func TestMaybeGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(testPool())
		s := newScene(t, c)
		s.source.set(nil, true)
		prefix := delegated(s.request(clientID), 1)
		s = s.restart(c)
		s.source.set(nil, false)
		if _, err := s.source.grant(Want{Prefix: prefix, Lifetime: time.Hour}, true); err != nil {
			t.Fatal(err)
		}
		s.must(ask{kind: dhcpv6.MessageTypeRelease, to: serverID, ias: [][]string{{prefix.String()}}})
		synctest.Wait()
		if got := s.source.releases(); len(got) != 1 || got[0] != prefix {
			t.Errorf("given back: %v", got)
		}
	})
}

// TestRenewWithoutSource: a client that has a softwire is told it for as long as its
// source has promised, whether the source answers or not, also after a restart. After
// that it has its prefix.
func TestRenewWithoutSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(testPool())
		s := newScene(t, c)
		first := s.request(clientID)
		prefix := delegated(first, 1)
		s.source.set(nil, true)
		time.Sleep(6 * time.Hour)
		for range 2 {
			m := s.must(renew(prefix))
			p := prefixIn(m, 1)
			if container(t, m) == nil || p == nil || m.Options.OneIAPD().T1 != time.Minute {
				t.Fatalf("%s", m.Summary())
			}
			if p.ValidLifetime > 18*time.Hour+time.Second {
				t.Errorf("told for %s, and promised for 18h", p.ValidLifetime)
			}
			s = s.restart(c)
		}
		time.Sleep(18*time.Hour - 90*time.Second)
		m := s.must(renew(prefix))
		if container(t, m) != nil || prefixIn(m, 1) == nil || prefixIn(m, 1).ValidLifetime < 23*time.Hour {
			t.Errorf("at the end of the softwire: %s", m.Summary())
		}
	})
}

// TestShortSoftwire: the prefix lasts no longer than the softwire that goes with it.
func TestShortSoftwire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		s.source.lasts = time.Hour
		m := s.request(clientID)
		p := prefixIn(m, 1)
		if p.ValidLifetime > time.Hour || p.ValidLifetime < time.Hour-2*time.Second || p.PreferredLifetime > p.ValidLifetime || m.Options.OneIAPD().T1 > 30*time.Minute {
			t.Errorf("%s", m.Summary())
		}
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		if got := s.source.releases(); len(got) != 1 {
			t.Errorf("given back: %v", got)
		}
	})
}

// TestForeign: who has a softwire by another mechanism is told that one, also at a
// pool of PCP, and never gets a second.
func TestForeign(t *testing.T) {
	for _, mechanism := range []Mechanism{ByDHCPv6, ByPCP} {
		t.Run(string(mechanism), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := testPool()
				p.Mechanism = mechanism
				s := newScene(t, testConfig(p))
				prefix := delegated(s.must(ask{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}}), 1)
				g, err := s.source.grant(Want{Prefix: prefix, Lifetime: time.Hour}, false)
				if err != nil {
					t.Fatal(err)
				}
				g.Softwire.B4 = netip.MustParseAddr("2001:db8:100::4")
				g.Expires, g.Foreign = time.Time{}, true
				s.source.foreign[prefix] = g
				m := s.request(clientID, prefix.String())
				if lw := container(t, m); lw == nil || lw.Bind.IPv4 != g.Softwire.IPv4 || lw.Bind.Prefix != netip.PrefixFrom(g.Softwire.B4, 128) {
					t.Errorf("%s", m.Summary())
				}
				if len(s.source.given) != 0 {
					t.Error("a second one was granted")
				}
				// It is told without its source, too.
				s.source.set(errDown, false)
				if m := s.must(renew(prefix)); container(t, m) == nil || prefixIn(m, 1).ValidLifetime != 24*time.Hour {
					t.Errorf("%s", m.Summary())
				}
			})
		})
	}
}

// TestUnprogrammed: a softwire that is durable and not programmed is told to nobody,
// also not by a later Reply for which there is none either.
func TestUnprogrammed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		s.source.unprogrammed = errors.New("the test says so")
		first := s.must(ask{kind: dhcpv6.MessageTypeRequest, to: serverID, ias: [][]string{nil}, oro: lw})
		prefix := delegated(first, 1)
		renewed := s.must(renew(prefix))
		if !prefix.IsValid() || delegated(renewed, 1) != prefix {
			t.Errorf("the prefix is %s, and then %s", prefix, delegated(renewed, 1))
		}
		for _, m := range []*dhcpv6.Message{first, renewed} {
			if o := m.GetOneOption(dhcpv6.OptionS46ContLW); o != nil {
				t.Errorf("told: %s", o)
			}
		}
		s.source.unprogrammed = nil
		if m := s.must(renew(prefix)); m.GetOneOption(dhcpv6.OptionS46ContLW) == nil {
			t.Errorf("not told when it is programmed: %s", m.Summary())
		}
	})
}

// TestStoreFails: nothing new is told that is not durable, and what is durable goes
// on.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		prefix := delegated(s.request(clientID), 1)
		time.Sleep(6 * time.Hour)
		full := fmt.Errorf("%w: full", store.ErrStorage)
		s.broken.Store(&full)
		if m := s.send(ask{kind: dhcpv6.MessageTypeRequest, from: client(2), to: serverID, ias: [][]string{nil}, oro: lw}); m != nil {
			t.Errorf("told without being durable: %s", m.Summary())
		}
		if m := s.must(renew(prefix)); prefixIn(m, 1).ValidLifetime != 24*time.Hour || container(t, m) == nil {
			t.Errorf("%s", m.Summary())
		}
		if m := s.send(ask{kind: dhcpv6.MessageTypeRelease, to: serverID, ias: [][]string{{prefix.String()}}}); m != nil {
			t.Errorf("released without being durable: %s", m.Summary())
		}
		s.broken.Store(nil)
		if m := s.request(client(2)); !delegated(m, 1).IsValid() {
			t.Errorf("%s", m.Summary())
		}
	})
}
