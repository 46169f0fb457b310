// Package e2e holds the end-to-end tests: the real commands in network
// namespaces, under the conditions that the demonstration does not show.
package e2e
