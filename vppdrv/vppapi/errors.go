package vppapi

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
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
	Plugins  []string // of which VPP knows no message, sorted
	Messages []string // of others, by name, sorted
}

func (e *IncompatibleError) Error() string {
	var parts []string
	for _, p := range e.Plugins {
		parts = append(parts, fmt.Sprintf(`VPP has no plugin %s: add "plugin %[1]s_plugin.so { enable }" to the section plugins of its startup configuration`, p))
	}
	if len(e.Messages) > 0 {
		parts = append(parts, fmt.Sprintf("VPP does not know the API messages %s: install VPP 25.06 or later", strings.Join(e.Messages, ", ")))
	}
	return strings.Join(parts, "; ")
}

// explain says what to do about an API socket that cannot be connected to.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("VPP's API socket: %w: run as root, or in the group that owns %s", err, path)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf(`VPP's API socket: %w: is VPP running, with "socksvr { socket-name %s }"?`, err, path)
	}
	return fmt.Errorf("VPP's API socket: %w", err)
}
