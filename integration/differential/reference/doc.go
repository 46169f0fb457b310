// Package reference owns a lwAFTR that is written for reading: one function for
// each rule of RFC 7596, RFC 2473 and the texts they name, every header decoded
// and built by a library, every address compared one by one. It is slow, keeps
// no packet longer than it must and shares nothing with package forwarder but
// the words of its configuration and its events, so that what both say is not
// one mistake made once.
//
// Where an RFC leaves a choice, the choice is that of the forwarder's
// documentation, and a comment says that it is one. Rate limits are taken as
// never reached, and reassembly as having room for every packet.
package reference
