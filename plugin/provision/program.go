package provision

import (
	"context"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// program brings changes of leases into the table, those of many callers at once:
// one change of the table costs about as much as a hundred together. No two
// changes that wait are about the same port set.
type program struct {
	table *softwire.Table

	mu      sync.Mutex
	waiting []*edit
	leading bool // somebody applies what waits
}

// edit is the change of one caller.
type edit struct {
	change softwire.Change
	err    error
	done   chan struct{}
}

// apply applies c to the table. The error is that of Table.Apply.
func (g *program) apply(c softwire.Change) error {
	e := &edit{change: c, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, e)
	lead := !g.leading
	g.leading = true
	g.mu.Unlock()
	if lead {
		g.lead()
	}
	<-e.done
	return e.err
}

// lead applies what waits until nothing does.
func (g *program) lead() {
	for {
		g.mu.Lock()
		edits := g.waiting
		g.waiting = nil
		g.leading = len(edits) > 0
		g.mu.Unlock()
		if len(edits) == 0 {
			return
		}
		var all softwire.Change
		for _, e := range edits {
			all.Remove = append(all.Remove, e.change.Remove...)
			all.Put = append(all.Put, e.change.Put...)
		}
		err := g.table.Apply(all)
		for _, e := range edits {
			if e.err = err; err != nil && len(edits) > 1 {
				// Whose fault it is shows when each is tried alone.
				e.err = g.table.Apply(e.change)
			}
			close(e.done)
		}
	}
}

// apply applies c and waits for the data plane to follow. The error is that of
// the table or a *reconcile.WaitError.
func (p *Provisioner) apply(ctx context.Context, c softwire.Change) error {
	if err := p.program.apply(c); err != nil {
		return err
	}
	keys := make([]softwire.Key, 0, len(c.Put)+len(c.Remove))
	for _, s := range c.Put {
		keys = append(keys, s.Key())
	}
	p.dp.Changed()
	return p.dp.Wait(ctx, append(keys, c.Remove...)...)
}
