package carrier

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/dhcp"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a Source whose name server the test plays.
type scene struct {
	*testing.T
	source *Source
	told   chan []provision.Offer
	mu     sync.Mutex
	asked  []string
	answer func(ctx context.Context, name string) ([]netip.Addr, error)
}

var (
	one, two = netip.MustParseAddr("2001:db8:ffff::1"), netip.MustParseAddr("2001:db8:ffff::2")
	lease    = dhcp.Lease{Prefix: netip.MustParsePrefix("2001:db8:1:100::/56"), AFTRName: "aftr.example.net"}
)

func in(t *testing.T, story func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{T: t, told: make(chan []provision.Offer, 1000)}
		s.answers(one)
		log := logrus.New()
		log.SetOutput(t.Output())
		c := DefaultConfig(func(o []provision.Offer) { s.told <- o })
		c.Lookup = func(ctx context.Context, name string, _ []netip.Addr) ([]netip.Addr, error) {
			s.mu.Lock()
			s.asked = append(s.asked, name)
			answer := s.answer
			s.mu.Unlock()
			return answer(ctx, name)
		}
		s.source = New(c, log)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.source.Run(ctx) }()
		story(s)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (s *scene) set(answer func(ctx context.Context, name string) ([]netip.Addr, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *scene) answers(all ...netip.Addr) {
	s.set(func(context.Context, string) ([]netip.Addr, error) { return all, nil })
}

// want waits for offers of some BR addresses.
func (s *scene) want(brs ...netip.Addr) {
	s.Helper()
	for {
		var offers []provision.Offer
		select {
		case offers = <-s.told:
		case <-time.After(24 * time.Hour):
			s.Fatalf("%v are never offered", brs)
		}
		if len(offers) != len(brs) {
			continue
		}
		same := true
		for i, o := range offers {
			same = same && o.Ends.BR == brs[i]
		}
		if same {
			return
		}
	}
}

func (s *scene) questions() int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.asked)
	s.asked = nil
	return n
}

func TestNameIsLookedUp(t *testing.T) {
	in(t, func(s *scene) {
		s.source.Lease(s.Context(), lease)
		s.want(one)
		s.source.Lease(s.Context(), lease) // renewed
		s.want(one)
		if n := s.questions(); n != 1 {
			s.Errorf("asked %d times", n)
		}
		s.answers(two, one)
		s.want(one, two) // after an hour
		s.source.Lease(s.Context(), dhcp.Lease{})
		s.want()
	})
}

func TestNameServerDoesNotAnswer(t *testing.T) {
	in(t, func(s *scene) {
		s.set(func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		s.source.Lease(s.Context(), lease)
		s.want()
		time.Sleep(time.Hour)
		if n := s.questions(); n < 12 || n > 25 {
			s.Errorf("asked %d times in an hour", n)
		}
		s.answers(one)
		s.want(one)
		// What is known stays when it fails later.
		s.set(func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("server failure") })
		time.Sleep(10 * time.Hour)
		select {
		case o := <-s.told:
			s.Errorf("told %v", o)
		default:
		}
	})
}

func TestNameWithoutAddress(t *testing.T) {
	in(t, func(s *scene) {
		s.answers()
		s.source.Lease(s.Context(), lease)
		s.want()
		time.Sleep(time.Minute)
		if n := s.questions(); n < 4 || n > 10 {
			s.Errorf("asked %d times in a minute", n)
		}
	})
}

func TestNameChanges(t *testing.T) {
	in(t, func(s *scene) {
		s.set(func(ctx context.Context, name string) ([]netip.Addr, error) {
			if name == lease.AFTRName {
				time.Sleep(time.Second)
				return []netip.Addr{one}, nil
			}
			return []netip.Addr{two}, nil
		})
		s.source.Lease(s.Context(), lease)
		other := lease
		other.AFTRName = "other.example.net"
		s.source.Lease(s.Context(), other)
		s.want(two)
		time.Sleep(time.Minute)
		select {
		case o := <-s.told:
			s.Errorf("told %v of the name before", o)
		default:
		}
	})
}
