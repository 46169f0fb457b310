// Package control owns the control socket: an HTTP server on a unix socket that
// shows what the router does and takes the few orders an operator gives. What it
// shows comes through the small interfaces of Router; the types that go over
// the socket are package api's.
//
// Who may connect is decided by the file system: the socket has mode 0660 and
// the configured group.
package control
