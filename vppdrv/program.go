package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.fd.io/govpp/api"
	mapapi "go.fd.io/govpp/binapi/map"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/binapi/vpe"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/script"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
)

// messages are what VPP must know.
func messages() []api.Message {
	return append(slices.Concat(topology.Messages(), ports.Messages()),
		&mapapi.MapDomainsGet{}, &mapapi.MapParamGet{}, &memclnt.ControlPing{}, &vpe.ShowVersion{})
}

// Apply is as in dataplane.Programmer.
func (d *Driver) Apply(ctx context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	s, done, err := d.program(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return s.apply(ctx, ops)
}

// limit bounds a call by the configured time, and ends it with the session.
func (s *session) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.driver.config.CallTimeout)
}

// refresh reads VPP if it may have been left otherwise than the model says.
func (s *session) refresh(ctx context.Context) error {
	if !s.stale {
		return nil
	}
	return s.read(ctx)
}

func (s *session) apply(ctx context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	results, possible := s.withinNetwork(ops)
	var chosen []dataplane.Op
	for _, i := range possible {
		chosen = append(chosen, ops[i])
	}
	batch := s.model.Batch(chosen)
	s.admit(batch)
	if err := s.prepare(ctx, batch); err != nil {
		return nil, err
	}
	steps, err := batch.Steps()
	if err != nil {
		return nil, err
	}
	executed := make([]dataplane.Op, 0, len(chosen))
	for i, r := range batch.Results() {
		if r.Outcome == dataplane.Programmed {
			executed = append(executed, chosen[i])
		}
	}
	// The slow path does not wait for VPP. What VPP does not execute is read
	// back before the next change, into the slow path too.
	failures := s.execute(ctx, steps, func() {
		err = s.driver.slow.apply(context.WithoutCancel(ctx), executed)
	})
	for _, f := range failures {
		batch.Fail(f.step.IPv4, f.err)
	}
	for i, r := range batch.Results() {
		results[possible[i]] = r
	}
	return results, err
}

// withinNetwork returns the ops that the configured network allows, by their
// place, and the results of the others.
func (s *session) withinNetwork(ops []dataplane.Op) (results []dataplane.Result, possible []int) {
	results = make([]dataplane.Result, len(ops))
	for i, op := range ops {
		sw := op.Softwire
		if op.Kind == dataplane.Put && (!inside(s.driver.network.Pools, sw.IPv4) || !slices.Contains(s.driver.network.BRs, sw.BR)) && sw.Validate() == nil {
			results[i] = dataplane.Result{Outcome: dataplane.Retryable, Err: fmt.Errorf("%s: %w", sw, errOutside)}
			continue
		}
		possible = append(possible, i)
	}
	return results, possible
}

// prepare makes what a batch needs besides its own steps.
func (s *session) prepare(ctx context.Context, b *plan.Batch) error {
	if err := s.topology.Prepare(ctx, b.Wholes(), b.Offsets()); err != nil {
		return err
	}
	return s.spare(ctx, b.NewAddresses())
}

// The number of spare domains made at once is that of the addresses in use,
// within limits, so that it takes few rounds to load a table.
const (
	minSpares = 64
	maxSpares = 1 << 14
)

// spare makes sure that there are n spare domains.
func (s *session) spare(ctx context.Context, n int) error {
	if s.model.Spares() >= n {
		return nil
	}
	more := s.moreSpares(n)
	if err := s.run(ctx, s.model.MoreSpares(more)); err != nil {
		return fmt.Errorf("spare MAP domains: %w", err)
	}
	found, err := readDomains(ctx, s.conn, s.model.Layout())
	if err != nil {
		return err
	}
	s.model.SetSpares(found)
	if s.model.Spares() < n {
		return fmt.Errorf("VPP has %d spare MAP domains, want %d", s.model.Spares(), n)
	}
	return nil
}

// moreSpares is how many spare domains are made when n are missing.
func (s *session) moreSpares(n int) int {
	return max(n, minSpares, min(s.model.Addresses(), maxSpares))
}

// failure is a step that was not executed, or not for certain.
type failure struct {
	step plan.Step
	err  error
}

// execute has VPP execute steps, as many at once as fit in a script, and calls
// meanwhile while it does.
func (s *session) execute(ctx context.Context, steps []plan.Step, meanwhile func()) (failures []failure) {
	e := execution{session: s}
	defer func() { s.stale = s.stale || len(failures) > 0 }()
	var err error
	if e.queue, err = script.Open(ctx, s.conn); err != nil {
		return failed(steps, err)
	}
	defer e.queue.Close()
	for len(steps) > 0 && err == nil {
		if e.queue.Full() {
			err = e.receive()
			continue
		}
		n, lines := s.fill(steps)
		if err = e.send(steps[:n], lines); err == nil {
			steps = steps[n:]
		}
	}
	meanwhile()
	for len(e.sent) > 0 && err == nil {
		err = e.receive()
	}
	for _, unanswered := range e.sent {
		e.failures = append(e.failures, failed(unanswered, err)...)
	}
	return append(e.failures, failed(steps, err)...)
}

// fill returns the lines of as many of steps as fit in a script, one at least.
func (s *session) fill(steps []plan.Step) (n int, lines []string) {
	detours := false
	for n < len(steps) && (n == 0 || len(lines)+len(steps[n].Lines) <= s.driver.config.ScriptLines) {
		lines = append(lines, steps[n].Lines...)
		detours = detours || steps[n].Detours
		n++
	}
	if detours {
		lines = slices.Concat(s.topology.Detours(true), lines, s.topology.Detours(false))
	}
	return n, lines
}

func failed(steps []plan.Step, err error) []failure {
	all := make([]failure, len(steps))
	for i, step := range steps {
		all[i] = failure{step, err}
	}
	return all
}

// execution is the steps that VPP was sent and has not answered.
type execution struct {
	session  *session
	queue    *script.Queue
	sent     [][]plan.Step // by script
	failures []failure
}

func (e *execution) send(steps []plan.Step, lines []string) error {
	if len(lines) == 0 {
		e.done(steps)
		return nil
	}
	if err := e.queue.Send(lines...); err != nil {
		return err
	}
	e.sent = append(e.sent, steps)
	return nil
}

// receive takes in the answer to the oldest script. With an error there is none.
func (e *execution) receive() error {
	_, err := e.queue.Receive()
	if err != nil && !errors.Is(err, script.ErrRefused) {
		return err
	}
	steps := e.sent[0]
	e.sent = e.sent[1:]
	if err != nil {
		e.failures = append(e.failures, failed(steps, err)...)
	} else {
		e.done(steps)
	}
	return nil
}

func (e *execution) done(steps []plan.Step) {
	for _, step := range steps {
		e.session.model.Done(step)
	}
}
