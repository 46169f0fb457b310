package plugin

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// pcpState is the collection of the store with what PCP has to remember besides
// leases: times in seconds since 1970, 8 octets each. epochKey is when its epoch
// began, which is when the store was new or state was lost. A store that is lost
// takes the leases and the epoch with it, which is how clients learn of it (RFC
// 6887 section 8.5). toldKey is the beginning of the last epoch that all known
// clients were told of.
const (
	pcpState = "pcp"
	epochKey = "epoch"
	toldKey  = "told"
)

// pcpEpoch is the epoch with what is durable of it.
type pcpEpoch struct {
	*pcp.Epoch
	store *bolt.Store
	now   func() time.Time
	told  uint32        // as toldKey
	anew  chan struct{} // one place: an epoch has begun
}

// loadPCPEpoch reads the epoch, or begins one: with a store that is new, and with
// one that was restored from a backup since.
func loadPCPEpoch(ctx context.Context, st *bolt.Store, now func() time.Time) (*pcpEpoch, error) {
	e := &pcpEpoch{store: st, now: now, anew: make(chan struct{}, 1)}
	present := now()
	began, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	restored, err := st.Restored()
	if err != nil {
		return nil, err
	}
	if began == 0 || restored.Unix() > began {
		began = present.Unix()
		if err := e.keep(ctx, epochKey, began); err != nil {
			return nil, err
		}
	}
	// From here on it counts seconds that really pass.
	e.Epoch = pcp.NewEpoch(present.Add(-time.Duration(max(present.Unix()-began, 0)) * time.Second))
	return e, nil
}

// read reads what is durable, and returns when the epoch began, 0 if never.
func (e *pcpEpoch) read(ctx context.Context) (began int64, err error) {
	for v, err := range e.store.Values(ctx, pcpState) {
		if err != nil {
			return 0, err
		}
		if len(v.Data) != 8 {
			return 0, fmt.Errorf("%w: %s of %d octets", store.ErrCorrupt, v.Key, len(v.Data))
		}
		switch at := int64(binary.BigEndian.Uint64(v.Data)); v.Key {
		case epochKey:
			began = at
		case toldKey:
			e.told = uint32(at)
		}
	}
	return began, nil
}

func (e *pcpEpoch) keep(ctx context.Context, key string, at int64) error {
	data := binary.BigEndian.AppendUint64(nil, uint64(at))
	return e.store.Commit(ctx, store.Batch{Values: []store.Value{{Collection: pcpState, Key: key, Data: data}}})
}

// reset begins anew for all clients, durably, and has them told.
func (e *pcpEpoch) reset(ctx context.Context) error {
	zero := e.now()
	// Epochs are told apart by the second in which they began.
	zero = zero.Add(time.Duration(max(int64(e.Began())+1-zero.Unix(), 0)) * time.Second)
	if err := e.keep(ctx, epochKey, zero.Unix()); err != nil {
		return err
	}
	e.Reset(zero)
	select {
	case e.anew <- struct{}{}:
	default:
	}
	return nil
}

// announcePCP has all known clients told of an epoch that has begun, as soon as
// they can be answered (RFC 6887 section 14.1.3).
func (p *Plugin) announcePCP(ctx context.Context, run *running, server *pcp.Server, t *pcpTransports) error {
	select {
	case <-run.rec.Ready():
	case <-ctx.Done():
		return nil
	}
	e := run.epoch
	log := p.log.WithField("part", "pcp")
	for {
		if began := e.Began(); began != e.told {
			log.Info("an epoch has begun; telling clients")
			if err := server.Announce(ctx, pcpClients(run.leases.All()), t.addresses(), t); err != nil {
				return nil // the context has ended
			}
			e.told = began
			if err := e.keep(ctx, toldKey, int64(began)); err != nil && ctx.Err() == nil {
				log.WithError(err).Warn("clients are told once more after a restart")
			}
			log.Info("clients were told of the epoch")
			continue
		}
		select {
		case <-e.anew:
		case <-ctx.Done():
			return nil
		}
	}
}

// pcpClients is the bindings of PCP among leases.
func pcpClients(leases iter.Seq[lease.Lease]) iter.Seq[pcp.Binding] {
	return func(yield func(pcp.Binding) bool) {
		for l := range leases {
			if l.State == lease.Bound && l.Mechanism == pool.PCP && !yield(pcpBinding(l)) {
				return
			}
		}
	}
}

// ResetPCP begins a new epoch: all PCP clients are told, and ask for their port
// sets again. The error wraps ErrNotRunning, ErrNoPCP or provision.ErrStorage.
func (p *Plugin) ResetPCP(ctx context.Context) error {
	run, err := p.present()
	if err != nil {
		return err
	}
	if run.pcp == nil {
		return ErrNoPCP
	}
	return run.epoch.reset(ctx)
}
