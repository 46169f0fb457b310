package pcp

import (
	"context"
	"errors"
	"net/netip"
)

// granter is Grants in one of two ways.
type granter interface {
	acquire(want Want) (Binding, error)
	release(lwb4 netip.Addr, number uint8) error
}

// patient waits until ctx ends.
type patient struct {
	ctx    context.Context
	grants Grants
}

func (p patient) acquire(want Want) (Binding, error) { return p.grants.Acquire(p.ctx, want) }

func (p patient) release(lwb4 netip.Addr, number uint8) error {
	return p.grants.Release(p.ctx, lwb4, number)
}

// atOnce does only what needs no waiting.
type atOnce struct{ grants Grants }

// errLater: it has to be asked again with patience. What was done up to there does
// no harm when it is done once more.
var errLater = errors.New("this takes time")

func (a atOnce) acquire(want Want) (Binding, error) {
	if want.Held != nil {
		if b, ok := a.grants.Extend(want); ok {
			return b, nil
		}
	}
	return Binding{}, errLater
}

func (a atOnce) release(netip.Addr, uint8) error { return errLater }
