package lwb4sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// LoadConfig says how a Loader loads a server.
type LoadConfig struct {
	Population Population
	// Window is how many requests wait for an answer at the same time, each of
	// another lwB4.
	Window int
	// Timeout is how long an answer is waited for before the request is sent
	// again, twice as long each time (RFC 6887 section 8.1.1).
	Timeout time.Duration
}

// Loader sends requests as fast as a server answers them. What lwB4s got stays
// known from one load to the next.
type Loader struct {
	config  LoadConfig
	carrier Carrier
	lwb4s   []loaded
}

// loaded is a lwB4 of a loader.
type loaded struct {
	// request is what it sends: it suggests what it got last.
	request []byte
	waits   bool          // for an answer
	sent    time.Duration // for the first time, after the load began
	tries   int
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

// NewLoader returns a loader. The error wraps ErrLoad or ErrPopulation.
func NewLoader(carrier Carrier, config LoadConfig) (*Loader, error) {
	if err := config.Population.Validate(); err != nil {
		return nil, err
	}
	if config.Window < 1 || config.Window > config.Population.Count || config.Timeout <= 0 {
		return nil, fmt.Errorf("%w: a window of %d for %d lwB4s, and a timeout of %s",
			ErrLoad, config.Window, config.Population.Count, config.Timeout)
	}
	l := &Loader{config: config, carrier: carrier, lwb4s: make([]loaded, config.Population.Count)}
	for i := range l.lwb4s {
		l.compose(i, netip.AddrPort{})
	}
	return l, nil
}

// compose makes the request of a lwB4.
func (l *Loader) compose(i int, suggested netip.AddrPort) {
	want := l.config.Population.want(i, 0)
	want.Suggested = suggested
	l.lwb4s[i].request = want.AppendRequest(l.lwb4s[i].request[:0], l.config.Population.client(i).Addr())
}

// Each has each lwB4 ask once: for a new port set, or if it was granted one
// before, to renew it. If ctx ends before all are answered, its error is
// returned.
func (l *Loader) Each(ctx context.Context) (Figures, error) {
	return l.load(ctx, l.config.Window, forever, func(time.Duration) (int, bool) { return len(l.lwb4s), false })
}

// Within is Each, but the lwB4s begin evenly within some time, whoever waits.
func (l *Loader) Within(ctx context.Context, d time.Duration) (Figures, error) {
	return l.load(ctx, len(l.lwb4s), forever, func(elapsed time.Duration) (int, bool) {
		share := min(elapsed.Seconds()/d.Seconds(), 1)
		return int(share * float64(len(l.lwb4s))), share < 1
	})
}

// For has lwB4s ask, in turn and over and over, for a time. What is answered later
// is waited for, but not counted.
func (l *Loader) For(ctx context.Context, duration time.Duration) (Figures, error) {
	f, err := l.load(ctx, l.config.Window, duration, func(elapsed time.Duration) (int, bool) {
		if elapsed < duration {
			return math.MaxInt, true
		}
		return 0, false
	})
	f.Elapsed = duration
	return f, err
}

// forever is longer than any load.
const forever = math.MaxInt64

// pace says how many first requests are due after some time, and whether more
// will be.
type pace func(elapsed time.Duration) (due int, more bool)

// load sends requests at a pace, while fewer wait than a window has room for. Only
// answers up to an end are counted.
func (l *Loader) load(ctx context.Context, window int, end time.Duration, p pace) (Figures, error) {
	for i := range l.lwb4s {
		l.lwb4s[i].waits = false
	}
	r := &run{Loader: l, window: window, end: end, pace: p, started: time.Now(), figures: Figures{Refused: make(map[pcpmsg.ResultCode]uint64)}}
	if err := r.work(ctx); err != nil {
		return Figures{}, err
	}
	r.figures.Elapsed = time.Since(r.started)
	r.summarize()
	return r.figures, nil
}

// run is one load.
type run struct {
	*Loader
	window  int
	end     time.Duration
	pace    pace
	waiting int
	sent    int // first requests
	next    int // the lwB4 whose turn it is
	// late has, by the number of tries before, who is to try again when, in that
	// order: also those that were answered.
	late      [maxTries][]lateness
	started   time.Time
	latencies []time.Duration
	figures   Figures
}

// maxTries is how often a request is sent: the last time a thousand timeouts after
// the one before.
const maxTries = 10

// lateness is when a request is repeated if it was not answered.
type lateness struct {
	lwb4 int
	at   time.Duration
	sent time.Duration // for the first time, which tells it from a later request
}

// often is how long nothing is waited for at most while there is room for more.
const often = time.Millisecond

func (r *run) work(ctx context.Context) error {
	out, in := make([]Letter, 0, atOnce), make([]Letter, atOnce)
	for {
		now := time.Since(r.started)
		due, more := r.pace(now)
		out = r.ask(r.repeat(out[:0], now), now, due)
		if err := r.carrier.Send(out); err != nil {
			return err
		}
		if r.waiting == 0 && r.sent >= due && !more {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d lwB4s of %d have no answer: %w", r.waiting, r.sent, err)
		}
		until := r.nextTry(now + r.config.Timeout)
		if r.waiting < r.window {
			until = min(until, now+often)
		}
		n, err := r.carrier.Receive(in, r.started.Add(until))
		if err != nil {
			return err
		}
		now = time.Since(r.started)
		for _, l := range in[:n] {
			r.take(now, l)
		}
	}
}

// ask adds the requests of the next lwB4s that are due. With a window that is not
// larger than the population there is always one that does not wait.
func (r *run) ask(out []Letter, now time.Duration, due int) []Letter {
	for ; r.sent < due && r.waiting < r.window && len(out) < atOnce; r.sent++ {
		for r.lwb4s[r.next].waits {
			r.next = (r.next + 1) % len(r.lwb4s)
		}
		b := &r.lwb4s[r.next]
		b.waits, b.sent, b.tries = true, now, 0
		r.waiting++
		out = r.send(out, r.next, now)
		r.next = (r.next + 1) % len(r.lwb4s)
	}
	return out
}

// send adds a request, which is repeated if need be.
func (r *run) send(out []Letter, i int, now time.Duration) []Letter {
	b := &r.lwb4s[i]
	if b.tries < maxTries {
		r.late[b.tries] = append(r.late[b.tries], lateness{i, now + r.config.Timeout<<b.tries, b.sent})
	}
	b.tries++
	return append(out, Letter{i, b.request})
}

// nextTry is when the next request may have to be repeated, or latest.
func (r *run) nextTry(latest time.Duration) time.Duration {
	for _, waiting := range r.late {
		if len(waiting) > 0 {
			latest = min(latest, waiting[0].at)
		}
	}
	return latest
}

// repeat adds the requests that were not answered in time.
func (r *run) repeat(out []Letter, now time.Duration) []Letter {
	for tries := range r.late {
		for len(r.late[tries]) > 0 && r.late[tries][0].at <= now && len(out) < atOnce {
			l := r.late[tries][0]
			r.late[tries] = r.late[tries][1:]
			if b := &r.lwb4s[l.lwb4]; b.waits && b.sent == l.sent {
				r.figures.Repeated++
				out = r.send(out, l.lwb4, now)
			}
		}
	}
	return out
}

// take takes an answer.
func (r *run) take(now time.Duration, l Letter) {
	b := &r.lwb4s[l.LwB4]
	answer, err := pcpmsg.ParseResponse(l.Message)
	if !b.waits || err != nil || answer.Opcode != pcpmsg.Map || answer.Mapping.Nonce != r.config.Population.nonce(l.LwB4, 0) {
		return
	}
	b.waits = false
	r.waiting--
	if now > r.end {
		return
	}
	if answer.Result != pcpmsg.Success {
		r.figures.Refused[answer.Result]++
		return
	}
	r.compose(l.LwB4, netip.AddrPortFrom(answer.Mapping.External, answer.Mapping.ExternalPort))
	r.figures.Granted++
	if b.tries == 1 {
		r.latencies = append(r.latencies, now-b.sent)
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
