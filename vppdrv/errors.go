package vppdrv

import "errors"

// Errors that calls wrap.
var (
	// ErrNotConnected reports that there is no VPP that could be asked. The text
	// says why.
	ErrNotConnected = errors.New("VPP is not connected")
	// ErrMemory reports a VPP whose memory is too small. The text says what to
	// configure.
	ErrMemory = errors.New("VPP has no memory left")
	// errOutside is the reason for softwires outside the configured network.
	errOutside = errors.New("outside the pools and BR addresses of the configuration")
)
