package vppdrv

import (
	"context"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// health is a dataplane.Health that can be waited for.
type health struct {
	mu      sync.Mutex
	now     dataplane.Health
	changed chan struct{} // closed at the next change
}

// set changes the health. It reports whether it differs in more than words.
func (h *health) set(to dataplane.Health) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	differs := !h.now.Same(to)
	h.now = to
	if h.changed != nil {
		close(h.changed)
	}
	h.changed = make(chan struct{})
	return differs
}

func (h *health) get() dataplane.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *health) wait(ctx context.Context, known dataplane.Health) (dataplane.Health, error) {
	for {
		h.mu.Lock()
		now, changed := h.now, h.changed
		h.mu.Unlock()
		if !now.Same(known) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return dataplane.Health{}, ctx.Err()
		}
	}
}
