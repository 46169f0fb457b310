// Package bird owns BIRD 2 as somebody else's BGP speaker, for tests and
// measurements: one process in a namespace, asked over its control socket.
package bird
