package vppdrv

import "errors"

// Errors that calls wrap.
var (
	// ErrNotConnected reports that there is no VPP that could be asked. The text
	// says why.
	ErrNotConnected = errors.New("VPP is not connected")
	// errOutside is the reason for softwires outside the configured network.
	errOutside = errors.New("outside the pools and BR addresses of the configuration")
)
