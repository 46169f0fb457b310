package portsets

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func TestKeeps(t *testing.T) {
	in(t, 1, func(s *street) {
		s.want(1)
		for range 20 { // renewals
			if g := s.granted(); time.Until(g.Until) < 30*time.Minute {
				t.Errorf("renewed until %s from now", time.Until(g.Until))
			}
		}
		s.holds(1)
	})
}

func TestMoreAndFewer(t *testing.T) {
	in(t, 8, func(s *street) {
		s.want(1)
		s.keep.More()
		s.want(1, 2)
		s.keep.More()
		s.want(1, 2, 3)
		s.keep.More() // MaxSets is 3
		for range 30 {
			s.granted()
		}
		s.holds(1, 2, 3)
		extra, err := portset.Of(0, 6, 2)
		if err != nil {
			t.Fatal(err)
		}
		s.keep.Fewer(extra)
		s.want(1, 3)
		s.holds(1, 3)
		first, err := portset.Of(0, 6, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.keep.Fewer(first) // the first stays
		s.keep.More()
		s.want(1, 3, 4)
	})
}

// TestQuota: who may have no more does not ask again at once, and keeps what it has.
func TestQuota(t *testing.T) {
	in(t, 1, func(s *street) {
		s.want(1)
		s.keep.More()
		s.want(1)
		time.Sleep(time.Second) // each range is tried
		before := s.opened.Load()
		s.keep.More()
		time.Sleep(time.Second)
		if s.opened.Load() != before {
			t.Error("asked again at once")
		}
		time.Sleep(moreAfterRefuse)
		s.set(func() { s.quota = 2 })
		s.keep.More()
		s.want(1, 2)
	})
}

// TestRestart: a CPE that forgot all but its nonce gets its sets back.
func TestRestart(t *testing.T) {
	in(t, 2, func(s *street) {
		s.want(1)
		s.keep.More()
		s.want(1, 2)
		s.stop()
		s.start()
		s.want(1)
		s.keep.More()
		s.want(1, 2)
		s.holds(1, 2)
	})
}

// TestLost: the lwAFTR has lost everything, and is asked again.
func TestLost(t *testing.T) {
	lose := func(s *street, then ...uint16) {
		s.set(func() {
			s.held, s.quota = nil, 8
			for i, psid := range then { // taken by others
				set, err := portset.Of(0, 6, psid)
				if err != nil {
					t.Fatal(err)
				}
				s.held = append(s.held, pcp.Binding{Number: uint8(100 + i), PortSet: set, Expires: time.Now().Add(-time.Second)})
			}
		})
	}
	t.Run("asked by the CPE", func(t *testing.T) {
		in(t, 2, func(s *street) {
			s.want(1)
			s.keep.More()
			s.want(1, 2)
			lose(s)
			s.keep.Ask()
			s.want(1, 2)
			s.holds(1, 2)
		})
	})
	t.Run("found by the epoch", func(t *testing.T) {
		in(t, 1, func(s *street) {
			s.want(1)
			time.Sleep(10 * time.Minute)
			lose(s)
			s.epoch.Reset(time.Now())
			time.Sleep(40 * time.Second)
			s.holds(1)
		})
	})
	t.Run("others have them", func(t *testing.T) {
		in(t, 2, func(s *street) {
			s.want(1)
			s.keep.More()
			s.want(1, 2)
			lose(s, 1, 2)
			s.keep.Ask()
			s.want(3)
		})
	})
}

func TestSilence(t *testing.T) {
	in(t, 1, func(s *street) {
		s.want(1)
		s.set(func() { s.down = true })
		if e, ok := s.next().(provision.Silent); !ok {
			t.Errorf("told %+v", e)
		}
	})
}

// TestNonsense: what makes no sense is not used, what was good before is, and the
// lwAFTR is asked again later.
func TestNonsense(t *testing.T) {
	external := func(a string, port, size uint16) func(pcpmsg.Response) pcpmsg.Response {
		return func(r pcpmsg.Response) pcpmsg.Response {
			if r.Opcode == pcpmsg.Map {
				r.Mapping.External, r.Mapping.ExternalPort = netip.MustParseAddr(a), port
				r.Options = pcpmsg.PortSet{Size: size, FirstInternal: port}.Append(nil)
			}
			return r
		}
	}
	for name, mangle := range map[string]func(pcpmsg.Response) pcpmsg.Response{
		"system ports":        external("192.0.2.1", 0, 1024),
		"IPv6":                external("2001:db8::1", 1024, 1024),
		"no address":          external("0.0.0.0", 1024, 1024),
		"loopback":            external("127.0.0.1", 1024, 1024),
		"no power of two":     external("192.0.2.1", 2000, 1000),
		"begins in between":   external("192.0.2.1", 1500, 1024),
		"beyond the last":     external("192.0.2.1", 65000, 1024),
		"the well-known ones": external("192.0.0.2", 1024, 1024),
		"no ports":            external("192.0.2.1", 1024, 0),
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, from the beginning %t", name, first), func(t *testing.T) {
				in(t, 1, func(s *street) {
					if !first {
						s.want(1)
					}
					s.set(func() { s.mangle = mangle })
					if first {
						s.stop()
						for len(s.told) > 0 {
							<-s.told
						}
						s.start()
					}
					for {
						e := s.next()
						if g, ok := e.(provision.Granted); ok {
							if first || len(g.Ports.Sets) != 1 || g.Ports.Sets[0].PSID() != 1 {
								t.Fatalf("told %s", g.Ports)
							}
							continue
						}
						if _, ok := e.(provision.Refused); ok {
							break
						}
					}
					before := s.opened.Load()
					time.Sleep(time.Minute)
					if n := s.opened.Load() - before; n != 1 {
						t.Errorf("asked again %d times in a minute", n)
					}
					s.set(func() { s.mangle = nil })
					s.want(1)
				})
			})
		}
	}
}

func TestAround(t *testing.T) {
	for _, row := range []struct {
		name string
		held []uint16 // of 64
		want string
	}{
		{"in the middle", []uint16{5}, "[6144-65535 1-5119]"},
		{"the lowest", []uint16{0}, "[1024-65535]"},
		{"the highest", []uint16{63}, "[1-64511]"},
		{"neighbours", []uint16{5, 6}, "[7168-65535 1-5119]"},
		{"a gap", []uint16{62, 5}, "[6144-63487 1-5119 64512-65535]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var sets []portset.PortSet
			for _, psid := range row.held {
				s, err := portset.Of(0, 6, psid)
				if err != nil {
					t.Fatal(err)
				}
				sets = append(sets, s)
			}
			if got := fmt.Sprint(Around(sets)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}
