// Package vectors runs packet cases of a folder of vectors against a lwAFTR: a
// configuration, what goes in on the IPv4 and the IPv6 side, and what must come
// out.
//
// It knows no data plane. Whatever can be set up from a Setup and given packets
// is a Rig, so the embedded forwarder and others run the same cases.
//
// A folder of vectors holds lwaftr/cases.json; the pcap files that it names are
// relative to lwaftr. A folder is somebody else's data: it is bounded, and what
// is wrong with one case fails that case and no other.
package vectors
