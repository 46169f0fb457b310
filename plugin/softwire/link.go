package softwire

import "hash/maphash"

// link is one softwire in the trie that is ordered by lwB4 addresses: their
// hash, then the key. The address itself is looked up by the key.
type link struct {
	hash uint32 // of the lwB4 address, hashDigits digits
	ip   uint32
	set  uint32 // the low half of the locator
}

const (
	hashDigits = 5
	hashBits   = hashDigits * digitBits
)

func newLink(hash uint32, at locator) link {
	return link{hash: hash, ip: at.ip(), set: uint32(at)}
}

func (l link) at() locator { return locator(l.ip)<<32 | locator(l.set) }

// trieKey is the hash and the locator in one, so that the links of one lwB4
// stand together under the first hashDigits digits, in the order of their keys.
func (l link) trieKey() trieKey {
	return trieKey{
		hi: uint64(l.hash)<<hashBits | uint64(l.ip>>2),
		lo: uint64(l.ip&3)<<32 | uint64(l.set),
	}
}

// hashB4 is seeded per table: subscribers choose interface identifiers, and
// must not be able to choose ones that collide.
func hashB4(seed maphash.Seed, b4 *[16]byte) uint32 {
	return uint32(maphash.Bytes(seed, b4[:]) >> (64 - hashBits))
}
