package netio

import "errors"

// Errors that a caller may decide by. What is returned wraps one of them and
// names the device.
var (
	// ErrPermission: the process may not open the device.
	ErrPermission = errors.New("needs CAP_NET_ADMIN and CAP_NET_RAW: run as root or grant them")
	// ErrNoAccess: the file by which TUN devices are made may not be opened.
	ErrNoAccess = errors.New(tunPath + " may not be opened: allow it by the file's permissions, or give the device to the container")
	// ErrNoInterface: there is no network interface of that name.
	ErrNoInterface = errors.New("no such interface")
	// ErrUnsuitable: the interface is there, but is not of the configured kind.
	ErrUnsuitable = errors.New("interface does not suit")
	// ErrBusy: another process has the device open.
	ErrBusy = errors.New("device busy: another process has it open")
	// ErrRouteTaken: the kernel has a route of somebody else for a prefix.
	ErrRouteTaken = errors.New("there is another route for it: remove one of the two")
	// ErrGone: the device went away while it was in use.
	ErrGone = errors.New("device has gone")
	// ErrClosed: the port is closed.
	ErrClosed = errors.New("port closed")
	// ErrPacket: Send was given what is not a whole packet of the side.
	ErrPacket = errors.New("not a whole packet of that side")
	// ErrDropped: a packet could not be sent now. It is counted by its cause.
	ErrDropped = errors.New("packet dropped")
)
