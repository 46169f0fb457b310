package forwarder

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// IO moves packets between the two networks and Workers.
type IO interface {
	// Run gives what comes in to Workers and sends what they put out, until ctx
	// ends; then it returns nil. Each Worker is used by one goroutine.
	Run(ctx context.Context, newWorker func() *Worker) error
	// Send sends one packet out of one side. The caller keeps it.
	Send(ctx context.Context, side dataplane.Side, packet []byte) error
}

// Forwarder is the data plane for machines without another one: Workers over
// one binding table, fed by an IO.
type Forwarder struct {
	io     IO
	shared shared

	// mu serialises changes of the settings and of the table's counters.
	mu      sync.Mutex
	config  Config
	network dataplane.Network
	running bool
	impeded string // why nothing can be sent; empty: it can

	health dataplane.Condition
}

var _ dataplane.Dataplane = (*Forwarder)(nil)

// shared is what the Workers of one Forwarder have in common.
type shared struct {
	settings   atomic.Pointer[settings]
	table      *softwire.Table
	counters   counters
	exceptions *exceptionQueue
}

// settings is a Config and a Network in the form that Workers use. It does not
// change once a Worker may see it.
type settings struct {
	Config
	own4  [4]byte
	mss   uint16
	brs   [][16]byte
	pools []netip.Prefix
	// mutation is zero but in tests of the tests.
	mutation mutation
}

// mutation leaves out single checks of the source of a packet, so that the
// conformance suite can be shown to notice.
type mutation struct {
	outerSource      bool
	outerDestination bool
	innerPort        func(t *softwire.Snapshot, inner [4]byte, outer [16]byte) (softwire.Match, bool)
}

// New returns a Forwarder that will forward as c says over io. The error is
// that of c.Validate.
func New(c Config, io IO) (*Forwarder, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f := &Forwarder{io: io, config: c}
	f.shared.table = softwire.NewTable()
	f.shared.exceptions = newExceptionQueue(c.ExceptionQueue)
	f.shared.counters.softwires.grow(1)
	f.health.Set(dataplane.Health{State: dataplane.StateDown, Reason: "not started"})
	f.publish()
	return f, nil
}

// publish gives Workers the present configuration. The caller holds mu, or is
// the only one to have f.
func (f *Forwarder) publish() {
	old := f.shared.settings.Load()
	s := &settings{Config: f.config, own4: f.config.IPv4Address.As4(), pools: f.network.Pools}
	s.mss = uint16(min(f.config.TunnelMTU-header6Len, f.config.IPv4MTU) - tcpHeaders)
	for _, a := range f.network.BRs {
		s.brs = append(s.brs, a.As16())
	}
	if old != nil {
		s.mutation = old.mutation
	}
	f.shared.settings.Store(s)
}

// SetConfig makes every later packet see c. The length of the exception queue
// stays as it was when f was made. The error is that of c.Validate.
func (f *Forwarder) SetConfig(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.config = c
	f.publish()
	return nil
}

// NewWorker returns a Worker on f's table, configuration and counters.
func (f *Forwarder) NewWorker() *Worker {
	var seed [16]byte
	rand.Read(seed[:]) // never fails, as its documentation says
	limits, ids := binary.NativeEndian.Uint64(seed[:]), binary.NativeEndian.Uint64(seed[8:])
	return &Worker{
		shared: &f.shared,
		limit4: newLimiter(limits),
		limit6: newLimiter(limits),
		random: ids,
	}
}

// Name is "forwarder".
func (f *Forwarder) Name() string { return "forwarder" }

// Run forwards until ctx ends. The error is that of the IO.
func (f *Forwarder) Run(ctx context.Context) error {
	f.setRunning(true, "")
	err := f.io.Run(ctx, f.NewWorker)
	reason := "stopped"
	if err != nil {
		reason = err.Error()
	}
	f.setRunning(false, reason)
	if err != nil {
		return fmt.Errorf("forwarder: %w", err)
	}
	return nil
}

func (f *Forwarder) setRunning(running bool, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = running
	if running {
		reason = f.impeded
	}
	f.report(reason)
}

// Impede says why packets cannot be sent, such as a device without a link, or
// with nothing that they can again. Whoever moves the packets knows.
func (f *Forwarder) Impede(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.impeded = reason
	if f.running {
		f.report(reason)
	}
}

// report makes known why nothing is forwarded, or that it is. The caller holds mu.
func (f *Forwarder) report(reason string) {
	h := dataplane.Health{State: dataplane.StateUp, Incarnation: 1}
	if reason != "" {
		h.State, h.Reason = dataplane.StateDown, reason
	}
	f.health.Set(h)
}

// WaitHealth is as in dataplane.Monitor. The incarnation is always 1: the table
// outlives the IO.
func (f *Forwarder) WaitHealth(ctx context.Context, known dataplane.Health) (dataplane.Health, error) {
	return f.health.Wait(ctx, known)
}

// Configure is as in dataplane.Programmer.
func (f *Forwarder) Configure(_ context.Context, n dataplane.Network) error {
	for _, a := range n.BRs {
		if !a.Is6() || a.Is4In6() {
			return fmt.Errorf("forwarder: BR address %s is not an IPv6 address: %w", a, dataplane.ErrUnsupported)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.network = dataplane.Network{
		Pools: append([]netip.Prefix(nil), n.Pools...),
		BRs:   append([]netip.Addr(nil), n.BRs...),
	}
	f.publish()
	return nil
}

// Exceptions is as in dataplane.ExceptionPort.
func (f *Forwarder) Exceptions(ctx context.Context, into []dataplane.Exception) (int, error) {
	return f.shared.exceptions.take(ctx, into)
}

// Inject is as in dataplane.ExceptionPort.
func (f *Forwarder) Inject(ctx context.Context, side dataplane.Side, packet []byte) error {
	var h4 header4
	var h6 header6
	switch _, ok := parse4(packet, &h4); {
	case side == dataplane.SideIPv4 && !ok:
		return fmt.Errorf("forwarder: inject on the IPv4 side: %w", errNotIPv4)
	}
	if _, ok := parse6(packet, &h6); side == dataplane.SideIPv6 && !ok {
		return fmt.Errorf("forwarder: inject on the IPv6 side: %w", errNotIPv6)
	}
	return f.io.Send(ctx, side, packet)
}

var (
	errNotIPv4 = errors.New("not a whole IPv4 packet")
	errNotIPv6 = errors.New("not a whole IPv6 packet")
)
