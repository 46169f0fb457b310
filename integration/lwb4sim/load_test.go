package lwb4sim

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addPort(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()^1) }

// TestLoader: each lwB4 once, then all over and over, and what is lost is asked
// for again.
func TestLoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := NewMemory(1 << 12)
		config := LoadConfig{Population: people(500, true), Window: 64, Timeout: time.Second}
		loader, err := NewLoader(OverLink(near, config.Population), config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		server := newScript()
		served := make(chan struct{})
		slow := &slowLink{Link: far}
		go func() { defer close(served); serve(ctx, slow, server.reply) }()

		first, err := loader.Each(ctx)
		if err != nil || first.Granted != 500 || len(first.Refused) != 0 || first.Repeated != 0 || server.held() != 500 {
			t.Fatalf("%+v, %v", first, err)
		}
		// The server takes a millisecond for each, and 63 others are before it.
		if first.P50 != 64*time.Millisecond || first.P99 != 64*time.Millisecond || first.Elapsed != 500*time.Millisecond || first.PerSecond() != 1000 {
			t.Fatalf("%+v", first)
		}
		renewals, err := loader.For(ctx, 2*time.Second)
		if err != nil || renewals.Granted < 2000 || renewals.Granted > 2100 || server.changed != 500 {
			t.Fatalf("%+v, %v, %d changes", renewals, err, server.changed)
		}
		slow.dropEvery = 10
		lossy, err := loader.Each(ctx)
		if err != nil || lossy.Granted != 500 || lossy.Repeated < 40 || server.changed != 500 {
			t.Fatalf("%+v, %v", lossy, err)
		}
		slow.dropEvery = 0
		server.set(func(s *script) { s.refuse = pcpmsg.UserExQuota })
		refused, err := loader.Each(ctx)
		if err != nil || refused.Granted != 0 || refused.Refused[pcpmsg.UserExQuota] != 500 {
			t.Fatalf("%+v, %v", refused, err)
		}
		server.set(func(s *script) { s.down = true })
		limited, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		if _, err := loader.Each(limited); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		cancel()
		<-served
	})
}

// slowLink takes a millisecond for each packet it sends, and may drop some.
type slowLink struct {
	Link
	sent, dropEvery int
}

func (l *slowLink) Send(packet []byte) error {
	time.Sleep(time.Millisecond)
	if l.sent++; l.dropEvery > 0 && l.sent%l.dropEvery == 0 {
		return nil
	}
	return l.Link.Send(packet)
}

func TestNewLoaderRefuses(t *testing.T) {
	good := LoadConfig{Population: people(10, false), Window: 10, Timeout: time.Second}
	if _, err := NewLoader(nil, good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*LoadConfig){
		"no window":    func(c *LoadConfig) { c.Window = 0 },
		"large window": func(c *LoadConfig) { c.Window = 11 },
		"no timeout":   func(c *LoadConfig) { c.Timeout = 0 },
	} {
		config := good
		edit(&config)
		if _, err := NewLoader(nil, config); !errors.Is(err, ErrLoad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good.Population.Count = 0
	if _, err := NewLoader(nil, good); !errors.Is(err, ErrPopulation) {
		t.Errorf("%v", err)
	}
}
