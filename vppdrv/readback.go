package vppdrv

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
)

// Softwires is as in dataplane.Programmer.
func (d *Driver) Softwires(ctx context.Context) iter.Seq2[softwire.Softwire, error] {
	return func(yield func(softwire.Softwire, error) bool) {
		if err := d.softwires(ctx, func(sw softwire.Softwire) bool { return yield(sw, nil) }); err != nil {
			yield(softwire.Softwire{}, err)
		}
	}
}

func (d *Driver) softwires(ctx context.Context, yield func(softwire.Softwire) bool) error {
	s, done, err := d.program(ctx)
	if err != nil {
		return err
	}
	err = s.refresh(ctx)
	layout := s.model.Layout()
	done()
	if err != nil {
		return err
	}
	found, err := readDomains(ctx, s.conn, layout)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(f plan.Domain) bool { return !layout.Holds(f.Tag) })
	var failed error
	err = readRules(ctx, s.conn, found, func(f plan.Domain) bool {
		var all []softwire.Softwire
		if all, failed = s.interpret(ctx, f); failed != nil {
			return false
		}
		for _, sw := range all {
			if !yield(sw) {
				return false
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// interpret says what a domain is that was found in VPP.
func (s *session) interpret(ctx context.Context, f plan.Domain) ([]softwire.Softwire, error) {
	select {
	case s.driver.programming <- struct{}{}:
		defer func() { <-s.driver.programming }()
		return s.model.Of(f), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
