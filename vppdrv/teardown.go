package vppdrv

import (
	"context"
	"fmt"

	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
)

// Teardown takes everything out of VPP that has the mark of this instance, what
// the configuration lists for its interfaces, and nothing else; packets of
// softwires are then dropped. It is for a Driver that does not run: one that
// does would make all of it again. Doing it twice is no error. Parameters of the
// MAP plugin that hold for all of VPP stay as they are.
func (d *Driver) Teardown(ctx context.Context) error {
	c := d.config
	err := d.converse(ctx, func(ctx context.Context, s *session) error {
		if err := s.conn.Check(messages()...); err != nil {
			return err
		}
		if err := s.clear(ctx, c.topology()); err != nil {
			return err
		}
		if err := topology.Unpunt(ctx, s.conn, c.exceptions()); err != nil {
			return err
		}
		return ports.Remove(ctx, s.conn, c.Instance, c.sides()...)
	})
	if err != nil {
		return fmt.Errorf("teardown: %w", err)
	}
	return nil
}
