package plugin

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// TestPCPEpoch: RFC 6887 section 8.5: it counts on over restarts, and begins anew
// with a new store, and with a backup.
func TestPCPEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.db")
	start := time.Now().Add(time.Hour)
	epochAt := func(path string, now time.Time, also func(*bolt.Store, *pcpEpoch)) uint32 {
		t.Helper()
		st, err := bolt.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- st.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		e, err := loadPCPEpoch(ctx, st, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		if also != nil {
			also(st, e)
		}
		client := netip.MustParseAddr("2001:db8:1::1")
		if one, later := e.Of(client, now), e.Of(client, now.Add(90*time.Second)); later != one+90 {
			t.Errorf("%d, and after 90 s %d", one, later)
		}
		return e.Of(client, now)
	}
	var backup bytes.Buffer
	keep := func(st *bolt.Store, _ *pcpEpoch) {
		if err := st.Backup(t.Context(), &backup); err != nil {
			t.Fatal(err)
		}
	}
	reset := func(_ *bolt.Store, e *pcpEpoch) {
		if err := e.reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		path string
		now  time.Time
		also func(*bolt.Store, *pcpEpoch)
		want uint32
	}{
		{"new", path, start, nil, 0},
		{"restarted", path, start.Add(time.Hour), keep, 3600},
		{"the time of day was set back", path, start.Add(-time.Hour), nil, 0},
		{"another store", path + "2", start.Add(time.Hour), nil, 0},
		{"reset", path, start.Add(2 * time.Hour), reset, 0},
		{"restarted after that", path, start.Add(3 * time.Hour), nil, 3600},
	} {
		if got := epochAt(tt.path, tt.now, tt.also); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}

	// The backup was made with an epoch that began before it is restored.
	old := filepath.Join(t.TempDir(), "old.db")
	epochAt(old, time.Now().Add(-time.Hour), keep)
	backup.Reset()
	epochAt(old, time.Now(), keep)
	if err := bolt.Restore(t.Context(), old, &backup); err != nil {
		t.Fatal(err)
	}
	if got := epochAt(old, time.Now().Add(time.Minute), nil); got != 0 {
		t.Errorf("restored: %d", got)
	}
	if got := epochAt(old, time.Now().Add(2*time.Minute), nil); got != 60 {
		t.Errorf("restarted after it was restored: %d", got)
	}
}

// TestPCPUpdate: a lwB4 whose lease an operator moves is told (RFC 6887 section
// 14.2), and the old lease ends when it asks for the new one.
func TestPCPUpdate(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	p, stop := runWith(t, c, dp)
	defer stop()
	b := newLwB4(t, dp, "2001:db8:1::b4")
	first := b.granted()
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	old := leases.Subscriber(b.address)[0]
	before := len(dp.Injected())
	moved, err := leases.Move(t.Context(), old.Key(), lessee(b.address.String()))
	if err != nil {
		t.Fatal(err)
	}
	b.awaitPacket(before)
	d, err := datagram.Parse(dp.Injected()[before].Packet)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcpmsg.ParseResponse(d.Payload)
	if err != nil || !b.want.Matches(&r) || r.Mapping.ExternalPort == first.Mapping.ExternalPort || r.Mapping.External != moved.Softwire.IPv4 {
		t.Fatalf("told %+v, %v; the lease is %+v", r, err, moved)
	}
	if again := b.granted(); again.Mapping != r.Mapping {
		t.Fatalf("asked again: %+v", again)
	}
	eventually(t, p, func() error {
		if _, there := dp.Held()[old.Key()]; there {
			return errors.New("the old one is still there")
		}
		return nil
	})
}

// told waits for one more packet to a lwB4 and reads it.
func (b *lwb4) told(before int) (datagram.Datagram, pcpmsg.Response) {
	b.Helper()
	b.awaitPacket(before)
	d, err := datagram.Parse(b.dp.Injected()[before].Packet)
	if err != nil {
		b.Fatal(err)
	}
	r, err := pcpmsg.ParseResponse(d.Payload)
	if err != nil {
		b.Fatal(err)
	}
	return d, r
}

// TestPCPUpdateAfterRestart: where a lwB4 is, is known after a restart, and that it
// was not told yet.
func TestPCPUpdateAfterRestart(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	_, stop := runWith(t, c, dp)
	b := newLwB4(t, dp, "2001:db8:1::b4")
	b.granted()
	stop()
	p, stop := runWith(t, c, dp)
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	before := len(dp.Injected())
	if _, err := leases.Move(t.Context(), leases.Subscriber(b.address)[0].Key(), lessee(b.address.String())); err != nil {
		t.Fatal(err)
	}
	d, first := b.told(before)
	if d.To != netip.AddrPortFrom(b.address, 40000) || first.Opcode != pcpmsg.Map {
		t.Errorf("%+v to %s", first, d.To)
	}
	stop()
	before = len(dp.Injected())
	_, stop = runWith(t, c, dp)
	defer stop()
	if _, again := b.told(before); again.Mapping != first.Mapping {
		t.Errorf("after a restart %+v, before %+v", again.Mapping, first.Mapping)
	}
}

// TestPCPReset: an operator has all clients ask again. Those are told that are
// known, and after a restart those that were not told yet.
func TestPCPReset(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	p, stop := runWith(t, c, dp)
	b := newLwB4(t, dp, "2001:db8:1::b4")
	b.granted()
	before := len(dp.Injected())
	if err := p.ResetPCP(t.Context()); err != nil {
		t.Fatal(err)
	}
	d, r := b.told(before)
	if r.Opcode != pcpmsg.Announce || r.Epoch > 5 || d.To != netip.AddrPortFrom(b.address, 40000) {
		t.Errorf("%+v to %s", r, d.To)
	}
	stop()
	if err := p.ResetPCP(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v", err)
	}
	c.PCP.Enabled = false
	p, stop = runWith(t, c, dp)
	defer stop()
	if err := p.ResetPCP(t.Context()); !errors.Is(err, ErrNoPCP) {
		t.Errorf("%v", err)
	}
}

// TestPCPRestored: RFC 6887 sections 8.5 and 14.1.3: after a backup was restored the
// epoch begins anew, and the clients that the backup knows are told.
func TestPCPRestored(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	// It began before the backup was restored.
	_, stop := runWith(t, c, dp, WithClock(func() time.Time { return time.Now().Add(-time.Minute) }))
	b := newLwB4(t, dp, "2001:db8:1::b4")
	b.granted()
	stop()
	st, err := bolt.Open(c.Store.Path)
	if err != nil {
		t.Fatal(err)
	}
	var backup bytes.Buffer
	err = st.Backup(t.Context(), &backup)
	if err := errors.Join(err, st.Close(), bolt.Restore(t.Context(), c.Store.Path, &backup)); err != nil {
		t.Fatal(err)
	}
	before := len(dp.Injected())
	_, stop = runWith(t, c, dp)
	defer stop()
	if _, r := b.told(before); r.Opcode != pcpmsg.Announce || r.Epoch > 5 {
		t.Errorf("%+v", r)
	}
}

// TestPCPRemoved: a lwB4 whose lease an operator removes is told, by an epoch of its
// own, and gets another one.
func TestPCPRemoved(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	p, stop := runWith(t, c, dp)
	defer stop()
	b, other := newLwB4(t, dp, "2001:db8:1::b4"), newLwB4(t, dp, "2001:db8:2::b4")
	b.granted()
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	before := len(dp.Injected())
	if err := leases.Remove(t.Context(), leases.Subscriber(b.address)[0].Key(), "abuse"); err != nil {
		t.Fatal(err)
	}
	if d, r := b.told(before); r.Opcode != pcpmsg.Announce || d.To != netip.AddrPortFrom(b.address, 40000) {
		t.Errorf("%+v to %s", r, d.To)
	}
	b.granted()
	other.granted()
}

// TestPCPDescription: RFC 7220: what a client says of itself is with its lease, also
// when it does not say it again.
func TestPCPDescription(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	p, stop := runWith(t, c, dp)
	defer stop()
	b := newLwB4(t, dp, "2001:db8:1::b4")
	b.want.Description = "CPE 7"
	b.granted()
	b.want.Description = ""
	b.granted()
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := leases.Subscriber(b.address)[0].Attributes.Get(lease.Comment); text != "CPE 7" {
		t.Errorf("the lease says %q", text)
	}
}
