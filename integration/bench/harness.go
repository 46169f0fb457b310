package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// errSkip is wrapped by the error of a bench that this machine cannot run, with
// what is missing.
var errSkip = errors.New("skipped")

// built reports which of the project's commands are missing, or nil.
func built(commands ...string) error {
	var missing []error
	for _, path := range commands {
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, fmt.Errorf("%w; `make build` makes it", err))
		}
	}
	return errors.Join(missing...)
}

// measure makes one measurement.
type measure func(ctx context.Context) (float64, error)

// spec is one figure to be measured.
type spec struct {
	name, unit string
	ours       measure
	// peer says what theirs measures; both are unset where there is nothing to
	// compare with.
	peer   string
	theirs measure
	once   bool // too long to be repeated
}

// bench is figures that share what they need.
type bench struct {
	name string
	// prepare makes what the figures need and returns them. What it holds is
	// given back by close, which may be nil.
	prepare func(ctx context.Context) (specs []spec, close func() error, err error)
}

// Figure is one result.
type Figure struct {
	Name  string   `json:"name"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Peer  string   `json:"peer"`
	Ratio *float64 `json:"ratio"`

	peerValue float64
	spread    float64 // (largest-smallest)/median of the rounds
}

// harness runs benches.
type harness struct {
	repeat  int
	benches *regexp.Regexp // those that are run
	only    *regexp.Regexp // those of their figures that are measured
	out     io.Writer
	figures []Figure
	skipped []string
}

// run runs the benches that are asked for. What fails does not keep the rest from being measured.
func (h *harness) run(ctx context.Context, all []bench) error {
	h.header()
	var errs []error
	var names []string
	for _, b := range all {
		names = append(names, b.name)
		if !h.benches.MatchString(b.name) {
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		if err := h.bench(ctx, b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b.name, err))
		}
	}
	if len(h.figures) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("nothing was measured: there are the benches %s", strings.Join(names, ", ")))
	}
	return errors.Join(errs...)
}

func (h *harness) bench(ctx context.Context, b bench) (err error) {
	specs, closeBench, err := b.prepare(ctx)
	if closeBench != nil {
		defer func() { err = errors.Join(err, closeBench()) }()
	}
	if errors.Is(err, errSkip) {
		h.skipped = append(h.skipped, fmt.Sprintf("%s: %v", b.name, err))
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range specs {
		if !h.only.MatchString(s.name) {
			continue
		}
		f, err := h.figure(ctx, s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		h.figures = append(h.figures, f)
		h.line(f)
	}
	return errors.Join(errs...)
}

// figure measures ours and theirs in turns, so that a machine that slows down
// slows down both, and takes the medians.
func (h *harness) figure(ctx context.Context, s spec) (Figure, error) {
	rounds := h.repeat
	if s.once {
		rounds = 1
	}
	var ours, theirs, ratios []float64
	for range rounds {
		if err := ctx.Err(); err != nil {
			return Figure{}, err
		}
		v, err := s.ours(ctx)
		if err != nil {
			return Figure{}, err
		}
		ours = append(ours, v)
		if s.theirs == nil {
			continue
		}
		p, err := s.theirs(ctx)
		if err != nil {
			return Figure{}, fmt.Errorf("peer %s: %w", s.peer, err)
		}
		if p == 0 {
			return Figure{}, fmt.Errorf("peer %s: measured 0", s.peer)
		}
		theirs = append(theirs, p)
		ratios = append(ratios, v/p)
	}
	f := Figure{Name: s.name, Value: median(ours), Unit: s.unit, Peer: s.peer}
	if f.Value != 0 {
		f.spread = (slices.Max(ours) - slices.Min(ours)) / f.Value
	}
	if len(ratios) > 0 {
		ratio := median(ratios)
		f.Ratio, f.peerValue = &ratio, median(theirs)
	}
	return f, nil
}

// median of at least one value.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
