// Package bgp has the tests of the speakers against other people's BGP speakers
// and against a peer that breaks the rules, in network namespaces.
package bgp
