package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// drive runs a machine against a server that the test plays. Every random number is
// 0.5, the middle.
type drive struct {
	testing.TB
	m    *machine
	now  time.Time
	sent []sending
}

type sending struct {
	after time.Duration // since the one before
	*dhcpv6.Message
}

var (
	begin     = time.Unix(1_000_000, 0)
	clientID  = &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	serverID  = &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	delegated = netip.MustParsePrefix("2001:db8:1:100::/56")
	br        = netip.MustParseAddr("2001:db8:ffff::1")
	shared    = netip.MustParseAddr("192.0.2.1")
)

func newDrive(t testing.TB) *drive {
	return &drive{TB: t, m: newMachine(clientID, iaid, begin, func() float64 { return 0.5 }), now: begin}
}

// pass lets time pass, and what is due in it happen.
func (d *drive) pass(t time.Duration) {
	d.Helper()
	end, last := d.now.Add(t), d.now
	for next := d.m.next(); !next.After(end); next = d.m.next() {
		if next.After(d.now) {
			d.now = next
		}
		if out := d.m.wake(d.now); out != nil {
			d.sent = append(d.sent, sending{d.now.Sub(last), out})
			last = d.now
		}
		if d.m.released {
			break
		}
	}
	d.now = end
}

// expect takes the messages that were sent.
func (d *drive) expect(kinds ...dhcpv6.MessageType) []sending {
	d.Helper()
	sent := d.sent
	d.sent = nil
	if len(sent) != len(kinds) {
		d.Fatalf("%d messages were sent, want %v", len(sent), kinds)
	}
	for i, s := range sent {
		if s.MessageType != kinds[i] {
			d.Fatalf("message %d is %s, want %s", i, s.MessageType, kinds[i])
		}
	}
	return sent
}

// answer is a message of the server, for an hour.
func (d *drive) answer(kind dhcpv6.MessageType, options ...dhcpv6.Option) *dhcpv6.Message {
	return d.answerFor(kind, time.Hour, options...)
}

func (d *drive) answerFor(kind dhcpv6.MessageType, valid time.Duration, options ...dhcpv6.Option) *dhcpv6.Message {
	ia := &dhcpv6.OptIAPD{IaId: iaid}
	ia.Options.Add(&dhcpv6.OptIAPrefix{
		PreferredLifetime: valid, ValidLifetime: valid,
		Prefix: &net.IPNet{IP: delegated.Addr().AsSlice(), Mask: net.CIDRMask(delegated.Bits(), 128)},
	})
	return d.message(kind, append(options, ia)...)
}

func (d *drive) message(kind dhcpv6.MessageType, options ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: kind, TransactionID: d.m.transaction}
	m.AddOption(dhcpv6.OptServerID(serverID))
	m.AddOption(dhcpv6.OptClientID(clientID))
	for _, o := range options {
		m.AddOption(o)
	}
	again, err := dhcpv6.MessageFromBytes(m.ToBytes())
	if err != nil {
		d.Fatal(err)
	}
	return again
}

func (d *drive) receive(m *dhcpv6.Message) error { return d.m.receive(d.now, m) }

// bind gets a lease.
func (d *drive) bind(options ...dhcpv6.Option) {
	d.Helper()
	d.pass(time.Second)
	d.must(d.receive(d.answer(dhcpv6.MessageTypeAdvertise, options...)))
	d.pass(time.Second)
	d.expect(dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest)
	d.must(d.receive(d.answer(dhcpv6.MessageTypeReply, options...)))
	if d.m.phase != bound || d.m.lease.Prefix != delegated {
		d.Fatalf("phase %d, lease %+v", d.m.phase, d.m.lease)
	}
}

func (d *drive) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func softwireOption(t testing.TB, psid uint16) *s46.LW {
	set, err := portset.Of(0, 6, psid)
	if err != nil {
		t.Fatal(err)
	}
	return s46.NewLW(br, shared, set, delegated)
}

func TestLifeOfALease(t *testing.T) {
	d := newDrive(t)
	d.bind(softwireOption(t, 5))
	d.pass(31 * time.Minute)
	renew := d.expect(dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRenew)
	if p := renew[0].Options.OneIAPD().Options.Prefixes(); len(p) != 1 || p[0].Prefix.String() != delegated.String() {
		t.Errorf("renews %v", p)
	}
	d.must(d.receive(d.answer(dhcpv6.MessageTypeReply, softwireOption(t, 5))))
	d.pass(time.Hour) // T1 at 30 minutes, T2 at 48, the end at 60
	for _, s := range d.sent[:2] {
		if s.MessageType != dhcpv6.MessageTypeRenew {
			t.Errorf("%s", s.MessageType)
		}
	}
	rebinds := 0
	for _, s := range d.sent {
		if s.MessageType == dhcpv6.MessageTypeRebind {
			rebinds++
			if s.Options.ServerID() != nil {
				t.Error("a Rebind is for one server")
			}
		}
	}
	if rebinds == 0 || !d.m.lease.none() || d.m.phase != soliciting {
		t.Errorf("%d rebinds, lease %+v", rebinds, d.m.lease)
	}
}

func TestEachMessageAsksForTheSoftwire(t *testing.T) {
	d := newDrive(t)
	d.pass(time.Second)
	d.must(d.receive(d.answer(dhcpv6.MessageTypeAdvertise)))
	d.pass(time.Second)
	d.must(d.receive(d.answer(dhcpv6.MessageTypeReply)))
	d.pass(time.Hour)
	seen := map[dhcpv6.MessageType]bool{}
	for _, s := range d.sent {
		seen[s.MessageType] = true
		for _, code := range []dhcpv6.OptionCode{96, 64, 111} {
			if !s.IsOptionRequested(code) {
				t.Errorf("%s does not ask for %s", s.MessageType, code)
			}
		}
		if s.GetOneOption(dhcpv6.OptionElapsedTime) == nil || s.Options.ClientID() == nil {
			t.Errorf("%s without elapsed time or client identifier", s.MessageType)
		}
	}
	if len(seen) != 4 {
		t.Errorf("seen %v", seen)
	}
}

func TestSolicitIsRepeated(t *testing.T) {
	d := newDrive(t)
	d.pass(3 * time.Hour)
	var last time.Duration
	for i, s := range d.sent {
		if s.MessageType != dhcpv6.MessageTypeSolicit {
			t.Fatal(s.MessageType)
		}
		if s.after < last || s.after > time.Hour+6*time.Minute {
			t.Errorf("message %d after %s, the one before after %s", i, s.after, last)
		}
		last = s.after
	}
	if len(d.sent) < 12 || last < 50*time.Minute {
		t.Errorf("%d messages, the last after %s", len(d.sent), last)
	}
}

func TestBestServerIsTaken(t *testing.T) {
	d := newDrive(t)
	d.pass(600 * time.Millisecond)
	other := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 3}}
	d.must(d.receive(d.answer(dhcpv6.MessageTypeAdvertise)))
	better := d.answer(dhcpv6.MessageTypeAdvertise, &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionPreference, OptionData: []byte{7}})
	better.UpdateOption(dhcpv6.OptServerID(other))
	d.must(d.receive(better))
	d.pass(time.Second)
	sent := d.expect(dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest)
	if !sent[1].Options.ServerID().Equal(other) {
		t.Error("another server was asked")
	}
}

func TestRequestIsGivenUp(t *testing.T) {
	d := newDrive(t)
	d.pass(time.Second)
	d.must(d.receive(d.answer(dhcpv6.MessageTypeAdvertise)))
	d.pass(10 * time.Minute)
	requests := 0
	for _, s := range d.sent {
		if s.MessageType == dhcpv6.MessageTypeRequest {
			requests++
		}
	}
	if requests != 10 || d.m.phase != soliciting {
		t.Errorf("%d requests, phase %d", requests, d.m.phase)
	}
}

func TestNoBinding(t *testing.T) {
	d := newDrive(t)
	d.bind()
	d.m.renew(d.now)
	d.pass(0)
	d.expect(dhcpv6.MessageTypeRenew)
	ia := &dhcpv6.OptIAPD{IaId: iaid}
	ia.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding})
	if err := d.receive(d.message(dhcpv6.MessageTypeReply, ia)); !errors.Is(err, ErrStatus) {
		t.Errorf("%v", err)
	}
	d.pass(0)
	d.expect(dhcpv6.MessageTypeRequest)
	if d.m.lease.none() {
		t.Error("what is valid was dropped")
	}
	d.must(d.receive(d.answer(dhcpv6.MessageTypeReply)))
	if d.m.phase != bound {
		t.Error("not bound again")
	}
}

func TestRelease(t *testing.T) {
	d := newDrive(t)
	if d.m.release(d.now) {
		t.Error("there is nothing to release")
	}
	d.bind()
	if !d.m.release(d.now) {
		t.Fatal("not released")
	}
	d.pass(10 * time.Second) // no answer
	d.expect(dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeRelease)
	if !d.m.released {
		t.Error("goes on for ever")
	}
}

// TestNonsense: what is wrong is refused with a reason, and the lease stays.
func TestNonsense(t *testing.T) {
	pd := func(t1, t2, preferred, valid time.Duration, prefix string) *dhcpv6.OptIAPD {
		ia := &dhcpv6.OptIAPD{IaId: iaid, T1: t1, T2: t2}
		_, n, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		ia.Options.Add(&dhcpv6.OptIAPrefix{PreferredLifetime: preferred, ValidLifetime: valid, Prefix: n})
		return ia
	}
	for _, row := range []struct {
		name   string
		option dhcpv6.Option
		want   error
	}{
		{"no prefix", &dhcpv6.OptIAPD{IaId: iaid}, ErrNoPrefix},
		{"another IAID", &dhcpv6.OptIAPD{IaId: [4]byte{9}}, ErrNoPrefix},
		{"lifetime 0", pd(0, 0, 0, 0, "2001:db8:1:100::/56"), ErrNoPrefix},
		{"preferred longer than valid", pd(0, 0, time.Hour, time.Minute, "2001:db8:1:100::/56"), ErrLifetimes},
		{"T1 after T2", pd(time.Hour, time.Minute, time.Hour, time.Hour, "2001:db8:1:100::/56"), ErrLifetimes},
		{"longer than 64", pd(0, 0, time.Hour, time.Hour, "2001:db8:1:100::/80"), ErrNoPrefix},
		{"everything", pd(0, 0, time.Hour, time.Hour, "::/0"), ErrNoPrefix},
		{"link-local", pd(0, 0, time.Hour, time.Hour, "fe80::/56"), ErrNoPrefix},
		{"multicast", pd(0, 0, time.Hour, time.Hour, "ff00::/56"), ErrNoPrefix},
		{"a failure", &dhcpv6.OptStatusCode{StatusCode: iana.StatusUnspecFail, StatusMessage: "out of order"}, ErrStatus},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDrive(t)
			d.bind(softwireOption(t, 5))
			d.m.renew(d.now)
			d.pass(0)
			before := d.m.lease
			if err := d.receive(d.message(dhcpv6.MessageTypeReply, row.option)); !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if !d.m.lease.Equal(before) {
				t.Errorf("the lease is %+v", d.m.lease)
			}
		})
	}
}

func TestStrangers(t *testing.T) {
	d := newDrive(t)
	d.pass(time.Second)
	for name, change := range map[string]func(*dhcpv6.Message){
		"another transaction": func(m *dhcpv6.Message) { m.TransactionID[0]++ },
		"another client":      func(m *dhcpv6.Message) { m.UpdateOption(dhcpv6.OptClientID(serverID)) },
		"no client":           func(m *dhcpv6.Message) { m.Options.Del(dhcpv6.OptionClientID) },
		"no server":           func(m *dhcpv6.Message) { m.Options.Del(dhcpv6.OptionServerID) },
		"a Reply too early":   func(m *dhcpv6.Message) { m.MessageType = dhcpv6.MessageTypeReply },
		"a request":           func(m *dhcpv6.Message) { m.MessageType = dhcpv6.MessageTypeRequest },
	} {
		m := d.answer(dhcpv6.MessageTypeAdvertise)
		change(m)
		if err := d.receive(m); !errors.Is(err, ErrStranger) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMalformedSoftwire: the prefix is good all the same, and the softwire stays what
// it was.
func TestMalformedSoftwire(t *testing.T) {
	d := newDrive(t)
	d.bind(softwireOption(t, 5))
	d.m.renew(d.now)
	d.pass(0)
	broken := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionS46ContLW, OptionData: []byte{0, 90, 0, 99}}
	d.must(d.receive(d.answer(dhcpv6.MessageTypeReply, broken)))
	if d.m.odd == nil || d.m.lease.Softwire == nil || d.m.phase != bound {
		t.Errorf("%v, lease %+v", d.m.odd, d.m.lease)
	}
	d.m.renew(d.now)
	d.pass(0)
	d.must(d.receive(d.answer(dhcpv6.MessageTypeReply)))
	if d.m.lease.Softwire != nil {
		t.Error("a softwire that is not told any more stays")
	}
}

func TestMaxSolicitTime(t *testing.T) {
	d := newDrive(t)
	d.pass(time.Second)
	limit := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionSolMaxRT, OptionData: []byte{0, 0, 0, 120}}
	full := d.message(dhcpv6.MessageTypeAdvertise, limit, &dhcpv6.OptStatusCode{StatusCode: iana.StatusNoPrefixAvail})
	if err := d.receive(full); !errors.Is(err, ErrStatus) {
		t.Errorf("%v", err)
	}
	d.sent = nil
	d.pass(time.Hour)
	if n := len(d.sent); n < 29 || n > 40 {
		t.Errorf("%d Solicits in an hour, want one each 2 minutes", n)
	}
}

func FuzzReceive(f *testing.F) {
	d := newDrive(f)
	d.pass(time.Second)
	f.Add(d.answer(dhcpv6.MessageTypeAdvertise, softwireOption(f, 5)).ToBytes())
	f.Add(d.answer(dhcpv6.MessageTypeReply, &s46.AFTRName{Name: "aftr.example.net"}).ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := dhcpv6.MessageFromBytes(b)
		if err != nil {
			return
		}
		d := newDrive(t)
		d.bind()
		for _, phase := range []phase{soliciting, requesting, renewing, releasing} {
			d.m.enter(phase, d.now)
			d.m.sent = 1
			in.TransactionID = d.m.transaction
			in.UpdateOption(dhcpv6.OptClientID(clientID))
			_ = d.m.receive(d.now, in)
			if l := d.m.lease; !l.none() {
				if !l.Until.After(d.now) || d.m.rebindAt.Before(d.m.renewAt) || d.m.rebindAt.After(l.Until) {
					t.Fatalf("renew %s, rebind %s, until %s", d.m.renewAt, d.m.rebindAt, l.Until)
				}
				offers, _ := l.Offers([]netip.Addr{br})
				for _, o := range offers {
					if !o.Ends.B4.Is6() {
						t.Fatalf("offer %+v", o)
					}
				}
			}
		}
	})
}
