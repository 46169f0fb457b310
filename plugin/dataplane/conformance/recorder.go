package conformance

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// recorder is a T that remembers failures.
type recorder struct {
	parent *testing.T
	ctx    context.Context

	mu       sync.Mutex
	failed   bool
	skipped  string
	log      []string
	cleanups []func()
}

var _ T = (*recorder)(nil)
var _ T = (*testing.T)(nil)

// record runs f as a test whose failures do not fail t.
func record(t *testing.T, f func(T)) *recorder {
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{parent: t, ctx: ctx}
	// Fatalf and Skipf end the goroutine they are called in, as testing does.
	inGoroutine(func() { f(r) })
	// Cleanups see an ended context, as with testing, and may add others.
	cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return r
		}
		last := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		inGoroutine(last)
	}
}

func inGoroutine(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// String is what was logged.
func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, "\n")
}

func (r *recorder) Helper()                  {}
func (r *recorder) Name() string             { return r.parent.Name() }
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) TempDir() string          { return r.parent.TempDir() }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.mu.Lock()
	r.skipped = fmt.Sprintf(format, args...)
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
