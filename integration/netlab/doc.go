// Package netlab owns small networks made of Linux network namespaces: it
// builds them, runs processes in them, listens on their links and takes all of
// it down again.
//
// The namespaces have no names. They live as long as a thread, a process or a
// descriptor uses them, so labs of several test runs cannot collide and a
// killed run leaves nothing behind.
package netlab
