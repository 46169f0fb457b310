package vpptest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// T is what this package needs of *testing.T. A Scope is one, too.
type T interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
	Failed() bool
}

// Scope is a T for programs that are no tests: what would fail a test is an
// error of it.
type Scope struct {
	mu       sync.Mutex
	failures []error
	cleanups []func()
}

var _ T = (*Scope)(nil)

// Do calls f, which may call methods of s that do not return. It returns what
// failed in s so far.
func (s *Scope) Do(f func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	return s.err()
}

// Close cleans up and returns everything that failed.
func (s *Scope) Close() error {
	for {
		s.mu.Lock()
		n := len(s.cleanups)
		if n == 0 {
			s.mu.Unlock()
			return s.err()
		}
		last := s.cleanups[n-1]
		s.cleanups = s.cleanups[:n-1]
		s.mu.Unlock()
		_ = s.Do(last) // reported above, with the rest
	}
}

func (s *Scope) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.failures...)
}

func (s *Scope) add(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, err)
}

// Cleanup has f called by Close, the last one first.
func (s *Scope) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

// Errorf adds a failure.
func (s *Scope) Errorf(format string, args ...any) { s.add(fmt.Errorf(format, args...)) }

// Fatalf adds a failure and ends the function that Do called.
func (s *Scope) Fatalf(format string, args ...any) {
	s.add(fmt.Errorf(format, args...))
	runtime.Goexit()
}

// Skip is Fatalf: without a VPP there is nothing that a program could do. Of
// an error that is the only argument the failure is that error.
func (s *Scope) Skip(args ...any) {
	err := errors.New(fmt.Sprint(args...))
	if len(args) == 1 {
		if only, ok := args[0].(error); ok {
			err = only
		}
	}
	s.add(err)
	runtime.Goexit()
}

// Failed reports whether anything failed.
func (s *Scope) Failed() bool { return s.err() != nil }

// Logf does nothing: only failures are of interest.
func (s *Scope) Logf(string, ...any) {}

// Helper does nothing.
func (s *Scope) Helper() {}
