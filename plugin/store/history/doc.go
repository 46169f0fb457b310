// Package history owns the record of who held which ports of which IPv4 address
// and when: written once, kept for years, and asked when an abuse report or a
// court names an address, a port and a second.
//
// Provision says in Events what happens to leases. The history joins them to
// Holds: one subscriber, one port set, from when until when. Renewals are no
// events, so a lease that is renewed for a year is one Hold.
//
// A history is a folder with one writer, a Log. New events are appended to a
// journal and are durable when Append returns. When the journal is full it
// becomes a run: an immutable file of records sorted by address, port set and
// time, with a sparse index. Neighbouring runs of about the same size are merged,
// so that there are few; that joins the ends of Holds to their starts. From time
// to time all runs become one, without what is older than the retention. A
// manifest, which is replaced atomically, says which files count. Everything
// carries checksums, and what is damaged is an error that names the place.
//
// A View is what a history held at one moment. It is read beside the writer, or
// by another process. Who held a port is found by reading one block of each run,
// from the newest on until one knows, for each way in which port sets were cut.
package history
