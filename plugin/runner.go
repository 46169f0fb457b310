package plugin

import (
	"context"
	"fmt"
	"sync"
)

// runner runs tasks of which later ones need earlier ones: they end in the
// reverse order, each before the one before it is told to.
type runner struct {
	tasks  []*task
	failed chan struct{} // closed when a task has ended by itself
	once   sync.Once
	err    error // why; set before failed is closed
}

// task is one goroutine or one thing to close.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func newRunner() *runner { return &runner{failed: make(chan struct{})} }

// run starts f in a goroutine. It is to return nil when its context ends, and
// not before.
func (r *runner) run(ctx context.Context, name string, f func(context.Context) error) {
	// What ends the start does not end what was started.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &task{cancel: cancel, done: make(chan struct{})}
	r.tasks = append(r.tasks, t)
	go func() {
		defer close(t.done)
		err := f(ctx)
		if err == nil && ctx.Err() == nil {
			err = errEnded
		}
		if err != nil {
			r.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// closing has f called when everything that was started later has ended.
func (r *runner) closing(f func()) {
	done := make(chan struct{})
	r.tasks = append(r.tasks, &task{cancel: func() { f(); close(done) }, done: done})
}

func (r *runner) fail(err error) {
	r.once.Do(func() {
		r.err = err
		close(r.failed)
	})
}

// stop ends everything and returns when it has ended.
func (r *runner) stop() {
	for i := len(r.tasks) - 1; i >= 0; i-- {
		r.tasks[i].cancel()
		<-r.tasks[i].done
	}
	r.tasks = nil
}
