package reconcile

import (
	"errors"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Why a softwire is not in the data plane as asked. KeyError wraps one of them.
var (
	// ErrPending: not yet; it is being tried, also after the caller gave up.
	ErrPending = errors.New("not programmed yet")
	// ErrUnsupported: the data plane refuses it.
	ErrUnsupported = errors.New("not supported by the data plane")
	// ErrSuperseded: the table says something else by now.
	ErrSuperseded = errors.New("changed again meanwhile")
)

// KeyError is why one softwire is not programmed, or not removed, as asked.
type KeyError struct {
	Key softwire.Key
	Err error
}

// Error names the softwire and the reason.
func (e *KeyError) Error() string { return fmt.Sprintf("softwire %s: %v", e.Key, e.Err) }

// Unwrap is the reason without the key.
func (e *KeyError) Unwrap() error { return e.Err }

// WaitError is what Wait returns when not all of its keys are settled. Keys that
// it does not name are.
type WaitError struct {
	Keys []*KeyError
	// Cause is the context's error, nil if no key is pending.
	Cause error
}

// Error gives the first reason and how many others there are.
func (e *WaitError) Error() string {
	text := e.Keys[0].Error()
	if more := len(e.Keys) - 1; more > 0 {
		text = fmt.Sprintf("%s (and %d more)", text, more)
	}
	if e.Cause != nil {
		text = fmt.Sprintf("%s: %v", text, e.Cause)
	}
	return text
}

// Unwrap is every reason and the cause, for errors.Is and errors.As.
func (e *WaitError) Unwrap() []error {
	var all []error
	for _, k := range e.Keys {
		all = append(all, k)
	}
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	return all
}
