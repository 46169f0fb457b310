package plugin

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
	"github.com/lwaftr/lw4o6/plugin/store/history/eventlog"
)

// HistoryConfig is where it is remembered who held which ports when.
type HistoryConfig struct {
	// Path is the absolute path of the folder; empty for "history" beside the
	// store.
	Path string `yaml:"path"`
	// Retention is how long a lease is remembered after its end; 0 for ever.
	Retention time.Duration   `yaml:"retention"`
	Events    eventlog.Config `yaml:"events"`
}

// Validate reports what is wrong with c.
func (c HistoryConfig) Validate() error {
	var errs []error
	if c.Path != "" && (!filepath.IsAbs(c.Path) || filepath.Clean(c.Path) != c.Path) {
		errs = append(errs, element.Errorf("path", "%q is not an absolute, clean path", c.Path))
	}
	if err := (history.Config{Retention: c.Retention}).Validate(); err != nil {
		errs = append(errs, element.At("retention", err))
	}
	return errors.Join(append(errs, element.At("events", c.Events.Validate()))...)
}

// maxWaiting is how many events may wait for the history before that is a
// problem: more than come in while it makes a run.
const maxWaiting = 1 << 17

// historyProblems is what is wrong, in words, with waiting events in the outbox.
func historyProblems(s *history.Stats, waiting int) (problems []string) {
	if s.Err != nil {
		problems = append(problems, fmt.Sprintf("the history cannot empty its journal: %v", s.Err))
	}
	if waiting > maxWaiting {
		problems = append(problems, fmt.Sprintf("%d events of leases wait for the history or the event log; the log says why", waiting))
	}
	return problems
}

// openHistory opens the history and the event log, and has the outbox of a store
// that runs moved to them. r ends all that.
func (p *Plugin) openHistory(ctx context.Context, r *runner, outbox store.Outbox) (*history.Log, error) {
	c, log := p.config.History, p.log.WithField("part", "history")
	path := c.Path
	if path == "" {
		path = filepath.Join(filepath.Dir(p.config.Store.Path), "history")
	}
	past, err := history.Open(path, history.Config{Retention: c.Retention}, log)
	if err != nil {
		return nil, err
	}
	r.closing(func() {
		if err := past.Close(); err != nil {
			log.WithError(err).Error("closing the history")
		}
	})
	sinks := []history.Sink{past}
	if c.Events.Path != "" {
		events, err := eventlog.Open(c.Events)
		if err != nil {
			return nil, err
		}
		r.closing(func() {
			if err := events.Close(); err != nil {
				log.WithError(err).Error("closing the event log")
			}
		})
		sinks = append(sinks, events)
	}
	r.run(ctx, "history", past.Run)
	r.run(ctx, "outbox", func(ctx context.Context) error { return history.Drain(ctx, outbox, log, sinks...) })
	return past, nil
}

// catchUpTimeout bounds how long an answer waits for what is on its way to the
// history.
const catchUpTimeout = time.Second

// catchUp has the history take what waits for it in the store.
func (r *running) catchUp(ctx context.Context) error {
	if r.store.Stats().Outbox == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	err := history.CatchUp(ctx, r.store, r.history)
	// All of it may have got there before it was looked for, and then there was
	// only more to wait for.
	if r.store.Stats().Outbox == 0 {
		return nil
	}
	return err
}
