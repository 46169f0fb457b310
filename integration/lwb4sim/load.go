package lwb4sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// LoadConfig says how a Loader loads a server.
type LoadConfig struct {
	Population Population
	// Window is how many requests wait for an answer at the same time, each of
	// another lwB4.
	Window int
	// Timeout is how long an answer is waited for before the request is sent
	// again.
	Timeout time.Duration
}

// Loader sends requests as fast as a server answers them. What lwB4s got stays
// known from one load to the next.
type Loader struct {
	config LoadConfig
	link   Link
	// suggested is what each lwB4 got last, and suggests when it renews.
	suggested []netip.AddrPort
}

// Figures are what a load measured.
type Figures struct {
	Granted  uint64
	Refused  map[pcpmsg.ResultCode]uint64
	Repeated uint64 // requests that were sent again, since no answer came in time
	Elapsed  time.Duration
	// Half and nearly all answers to first requests came within these.
	P50, P99, Longest time.Duration
}

// PerSecond is how many requests were granted per second.
func (f Figures) PerSecond() float64 { return float64(f.Granted) / f.Elapsed.Seconds() }

// ErrLoad reports a LoadConfig that makes no sense.
var ErrLoad = errors.New("impossible load")

// NewLoader returns a loader on a link, which the caller closes. The error wraps
// ErrLoad or ErrPopulation.
func NewLoader(link Link, config LoadConfig) (*Loader, error) {
	if err := config.Population.Validate(); err != nil {
		return nil, err
	}
	if config.Window < 1 || config.Window > config.Population.Count || config.Timeout <= 0 {
		return nil, fmt.Errorf("%w: a window of %d for %d lwB4s, and a timeout of %s",
			ErrLoad, config.Window, config.Population.Count, config.Timeout)
	}
	return &Loader{config: config, link: link, suggested: make([]netip.AddrPort, config.Population.Count)}, nil
}

// Each has each lwB4 ask once: for a new port set, or if it was granted one
// before, to renew it. If ctx ends before all are answered, its error is
// returned.
func (l *Loader) Each(ctx context.Context) (Figures, error) {
	return l.load(ctx, func(sent int, _ time.Duration) bool { return sent < l.config.Population.Count })
}

// For has lwB4s ask, in turn and over and over, for a time, and waits for the
// last answers.
func (l *Loader) For(ctx context.Context, duration time.Duration) (Figures, error) {
	return l.load(ctx, func(_ int, elapsed time.Duration) bool { return elapsed < duration })
}

// load sends requests while more says so.
func (l *Loader) load(ctx context.Context, more func(sent int, elapsed time.Duration) bool) (Figures, error) {
	ctx, cancel := context.WithCancel(ctx)
	group, inner := errgroup.WithContext(ctx)
	arrivals := make(chan []byte, 1024)
	group.Go(func() error { return receive(inner, l.link, arrivals) })
	r := &run{Loader: l, waiting: make(map[int]request), started: time.Now(), figures: Figures{Refused: make(map[pcpmsg.ResultCode]uint64)}}
	group.Go(func() error {
		defer cancel()
		return r.work(inner, arrivals, more)
	})
	if err := group.Wait(); err != nil {
		return Figures{}, err
	}
	r.figures.Elapsed = time.Since(r.started)
	r.summarize()
	return r.figures, nil
}

// run is one load.
type run struct {
	*Loader
	waiting   map[int]request // by lwB4
	timeouts  timeline[int]
	sent      int // first requests
	started   time.Time
	latencies []time.Duration
	figures   Figures
}

// request is one that was not answered yet.
type request struct {
	want     client.Want
	packet   []byte
	sent     time.Time // for the first time
	repeated time.Time
}

func (r *run) work(ctx context.Context, arrivals <-chan []byte, more func(sent int, elapsed time.Duration) bool) error {
	timer := time.NewTimer(r.config.Timeout)
	defer timer.Stop()
	for {
		now := time.Now()
		for len(r.waiting) < r.config.Window && more(r.sent, now.Sub(r.started)) {
			r.ask(now)
		}
		if len(r.waiting) == 0 {
			return nil
		}
		timer.Reset(r.timeouts.next().Sub(now))
		select {
		case packet := <-arrivals:
			r.take(time.Now(), packet)
		case <-timer.C:
			r.repeat(time.Now())
		case <-ctx.Done():
			return fmt.Errorf("%d lwB4s of %d have no answer: %w", len(r.waiting), r.sent, ctx.Err())
		}
	}
}

// ask has the next lwB4 ask. With a window that is not larger than the
// population it does not wait for an answer already, unless that is late.
func (r *run) ask(now time.Time) {
	p := &r.config.Population
	i := r.sent % p.Count
	for _, waits := r.waiting[i]; waits; _, waits = r.waiting[i] {
		i = (i + 1) % p.Count
	}
	r.sent++
	want := p.want(i, 0)
	want.Suggested = r.suggested[i]
	q := request{want: want, packet: p.packet(i, want.AppendRequest(nil, p.client(i).Addr())), sent: now}
	r.send(now, i, q)
}

func (r *run) send(now time.Time, i int, q request) {
	q.repeated = now
	r.waiting[i] = q
	r.timeouts.add(now.Add(r.config.Timeout), i)
	// What the link has no room for is a lost request.
	_ = r.link.Send(q.packet)
}

func (r *run) repeat(now time.Time) {
	for i, at, ok := r.timeouts.take(now); ok; i, at, ok = r.timeouts.take(now) {
		if q, waits := r.waiting[i]; waits && q.repeated.Add(r.config.Timeout).Equal(at) {
			r.figures.Repeated++
			r.send(now, i, q)
		}
	}
}

// take takes an answer.
func (r *run) take(now time.Time, packet []byte) {
	i, d, ok := r.config.Population.receive(packet)
	if !ok {
		return
	}
	q, waits := r.waiting[i]
	answer, err := pcpmsg.ParseResponse(d.Payload)
	if !waits || err != nil || d.From != r.config.Population.server() || !q.want.Matches(&answer) {
		return
	}
	delete(r.waiting, i)
	if answer.Result != pcpmsg.Success {
		r.figures.Refused[answer.Result]++
		return
	}
	r.suggested[i] = netip.AddrPortFrom(answer.Mapping.External, answer.Mapping.ExternalPort)
	r.figures.Granted++
	if q.repeated.Equal(q.sent) {
		r.latencies = append(r.latencies, now.Sub(q.sent))
	}
}

func (r *run) summarize() {
	n := len(r.latencies)
	if n == 0 {
		return
	}
	slices.Sort(r.latencies)
	r.figures.P50, r.figures.P99, r.figures.Longest = r.latencies[n/2], r.latencies[n*99/100], r.latencies[n-1]
}
