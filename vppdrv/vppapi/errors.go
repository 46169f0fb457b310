package vppapi

import (
	"errors"
	"fmt"
	"strings"
)

// Errors that calls wrap.
var (
	// ErrClosed reports a connection that ended, on either side.
	ErrClosed = errors.New("connection to VPP is closed")
	// ErrNoAnswer reports a call that VPP did not answer in time. What it asked
	// for may have happened.
	ErrNoAnswer = errors.New("VPP does not answer")
	// ErrProtocol reports bytes from VPP that are no message, or not the one
	// that was due.
	ErrProtocol = errors.New("unexpected message from VPP")
)

// IncompatibleError reports messages that the VPP at the other end does not
// know, or knows with other fields.
type IncompatibleError struct {
	Messages []string // by name, sorted
}

func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("VPP does not know the API messages %s: install VPP 25.06 or later, with the plugins that have them",
		strings.Join(e.Messages, ", "))
}
