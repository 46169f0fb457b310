package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"go.fd.io/govpp/binapi/vpe"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/punt"
	"github.com/lwaftr/lw4o6/vppdrv/script"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
)

// session is one connection to one run of VPP, with what it holds of ours. The
// fields below conn are for whoever holds Driver.programming.
type session struct {
	driver *Driver
	conn   *vppapi.Conn
	punt   *punt.Socket
	// ports are the interfaces that the configuration names.
	ports []ports.Port

	books    books
	topology *topology.Topology
	model    *plan.Model
	// retired are pools without a route whose domains are still there, since
	// when.
	retired map[netip.Prefix]time.Time
	// probed is the BR address that probes are sent to, for whoever watches.
	probed atomic.Pointer[netip.Addr]
	memory memory
	// stale means that the model may not be what is in VPP, because an answer
	// was lost or a script ended early.
	stale bool
}

// connect runs one session from its beginning to its end. The error says why
// it ended.
func (d *Driver) connect(ctx context.Context) error {
	return d.converse(ctx, func(ctx context.Context, s *session) error {
		if err := s.serve(ctx); err != nil {
			return err
		}
		return vppapi.ErrClosed // or it would go on
	})
}

// converse calls f with a new connection to VPP, which ends with f. The error is
// that of f, or why the connection ended under it.
func (d *Driver) converse(ctx context.Context, f func(context.Context, *session) error) error {
	conn, err := vppapi.Dial(ctx, d.config.API, "lw4o6-"+d.config.Instance)
	if err != nil {
		return err
	}
	conn.SetPatience(d.config.CallTimeout)
	s := &session{driver: d, conn: conn, retired: make(map[netip.Prefix]time.Time)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- conn.Run(ctx)
	}()
	err = f(ctx, s)
	conn.Close()
	// That the connection is closed says less than why.
	if why := <-ended; errors.Is(err, vppapi.ErrClosed) || errors.Is(err, context.Canceled) {
		return why
	}
	return err
}

// serve makes VPP ours and watches it until the session ends.
func (s *session) serve(ctx context.Context) error {
	lost, err := s.begin(ctx)
	defer s.end()
	if err != nil {
		return err
	}
	states, err := ports.States(ctx, s.conn, s.ports)
	if err != nil {
		return err
	}
	s.driver.open(s, lost, linkDown(states))
	// At once, and not when all that uses the connection has noticed: until this is
	// known, others send packets here.
	context.AfterFunc(ctx, func() { s.driver.close(s) })
	defer s.driver.close(s)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.driver.slow.serve(ctx, s.punt, s.topology) })
	group.Go(func() error { return s.watch(ctx) })
	return group.Wait()
}

// end gives back what begin opened.
func (s *session) end() {
	// Whoever still reads or sends ends first.
	s.driver.programming <- struct{}{}
	defer func() { <-s.driver.programming }()
	if s.punt != nil {
		_ = s.punt.Close() // nothing depends on it
	}
}

// open makes s the session that calls use. With lost, VPP has nothing of what
// an earlier session programmed; with a reason, it does not forward.
func (d *Driver) open(s *session, lost bool, reason string) {
	d.mu.Lock()
	if lost || d.incarnation == 0 {
		d.incarnation++
	}
	d.session = s
	d.mu.Unlock()
	d.report(s, reason)
}

// close makes known that s has ended. Why is said when that is known, too.
func (d *Driver) close(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != s {
		return
	}
	d.session = nil
	d.down(vppapi.ErrClosed)
}

// begin adopts what is ours in VPP or makes it. It reports whether it had to be
// made.
func (s *session) begin(ctx context.Context) (lost bool, err error) {
	// Whoever still changes VPP by an earlier session has to end first.
	select {
	case s.driver.programming <- struct{}{}:
		defer func() { <-s.driver.programming }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	log := s.driver.log
	if err := s.conn.Check(messages()...); err != nil {
		return false, err
	}
	version, err := vpe.NewServiceClient(s.conn).ShowVersion(ctx, &vpe.ShowVersion{})
	if err != nil {
		return false, err
	}
	if err := s.driver.enough(ctx); err != nil {
		return false, err
	}
	start := time.Now()
	c := s.driver.config
	if s.ports, err = ports.Ensure(ctx, s.conn, c.Instance, c.sides()...); err != nil {
		return false, err
	}
	config := s.wanted()
	s.topology, err = topology.Adopt(ctx, s.conn, config)
	if lost = errors.Is(err, topology.ErrNotFound); lost {
		err = s.build(ctx, config)
	}
	if err != nil {
		return lost, err
	}
	if lost {
		s.driver.last, s.driver.network = nil, dataplane.Network{}
	}
	if brs := s.driver.network.BRs; len(brs) > 0 {
		s.probed.Store(&brs[0])
	}
	s.model = s.driver.last
	if err := s.read(ctx); err != nil {
		return lost, err
	}
	if err := s.openSockets(ctx); err != nil {
		return lost, err
	}
	log.WithField("version", version.Version).WithField("made", lost).WithField("softwires", s.model.Len()).
		WithField("took", time.Since(start).Round(time.Millisecond)).Info("VPP is connected")
	return lost, nil
}

// wanted is what the topology is made for in this VPP, which may have no
// policers.
func (s *session) wanted() topology.Config {
	c := s.driver.config.topology()
	if c.ExceptionRate == 0 {
		return c
	}
	if err := s.conn.Check(topology.PolicerMessages()...); err != nil {
		s.driver.log.WithError(err).Warn("exception-rate takes VPP's plugin policer: nothing but the punt socket limits exceptions")
		c.ExceptionRate = 0
	}
	return c
}

// openSockets opens the ways to VPP besides its API.
func (s *session) openSockets(ctx context.Context) (err error) {
	c := s.driver.config
	if _, err := s.driver.stats.Read(ctx); err != nil {
		return err
	}
	if s.punt, err = punt.Listen(c.exceptions(), c.Punt); err != nil {
		return err
	}
	server, err := s.topology.Punt(ctx, c.exceptions())
	if err != nil {
		return err
	}
	if server != "" && server != c.Punt {
		return fmt.Errorf("VPP's punt socket is %s, and punt-socket says %s", server, c.Punt)
	}
	return nil
}

// build makes the topology, after all that another one may have left.
func (s *session) build(ctx context.Context, config topology.Config) error {
	if err := s.clear(ctx, config); err != nil {
		return err
	}
	var err error
	s.topology, err = topology.Build(ctx, s.conn, config)
	return err
}

// clear takes everything of ours out of VPP but its interfaces.
func (s *session) clear(ctx context.Context, config topology.Config) error {
	left, err := topology.Find(ctx, s.conn, config)
	if err != nil {
		return err
	}
	found, err := readDomains(ctx, s.conn, s.layout(netip.IPv6Unspecified()))
	if err != nil {
		return err
	}
	old := plan.Read(s.layout(netip.IPv6Unspecified()), found, nil)
	if err := left.Remove(ctx, s.conn, config, old.Pools()); err != nil {
		return err
	}
	var lines []string
	for _, d := range found {
		lines = append(lines, plan.DeleteLine(d.Index))
	}
	if err := s.run(ctx, lines); err != nil {
		return fmt.Errorf("removing MAP domains: %w", err)
	}
	return nil
}

// layout is what all domains have in common.
func (s *session) layout(nowhere netip.Addr) plan.Layout {
	c := s.driver.config
	l := plan.Layout{Tag: c.tag(), MTU: uint16(c.Forwarding.TunnelMTU), Nowhere: nowhere, Fill: c.fill()}
	if s.topology != nil {
		l.Steering = s.topology
	}
	return l
}

// read takes the model from VPP.
func (s *session) read(ctx context.Context) error {
	layout := s.layout(s.topology.Nowhere())
	found, err := readDomains(ctx, s.conn, layout)
	if err != nil {
		return err
	}
	var held []plan.Domain
	complete := slices.DeleteFunc(slices.Clone(found), func(d plan.Domain) bool {
		if layout.Holds(d.Tag) {
			held = append(held, d)
			return true
		}
		return false
	})
	err = readRules(ctx, s.conn, held, func(d plan.Domain) bool {
		complete = append(complete, d)
		return true
	})
	if err != nil {
		return err
	}
	if len(complete) != len(found) {
		return fmt.Errorf("%d MAP domains of ours were changed by somebody else meanwhile", len(found)-len(complete))
	}
	s.model = plan.Read(layout, complete, s.model)
	s.driver.last = s.model
	if err := s.topology.Steer(ctx, s.model); err != nil {
		return err
	}
	s.stale = false
	if err := s.room(ctx); err != nil {
		return err
	}
	return s.driver.slow.mirror(ctx, s.model)
}

// run executes command lines in as many scripts as it takes.
func (s *session) run(ctx context.Context, lines []string) error {
	return script.RunAll(ctx, s.conn, lines, s.driver.config.ScriptLines)
}
