package bundle

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"regexp"
	"strings"
)

// Cleaner takes out of texts what should not leave the operator's hands.
type Cleaner struct {
	key  []byte
	keep map[netip.Addr]bool
}

// NewCleaner returns a Cleaner that gives every subscriber another name: each IP
// address but those of keep, and each attribute of a lease. The same address has
// the same name in everything that one Cleaner cleans, and nobody can tell which
// address that was.
func NewCleaner(keep []netip.Addr) *Cleaner {
	c := &Cleaner{key: make([]byte, sha256.Size), keep: make(map[netip.Addr]bool)}
	for _, ip := range keep {
		c.keep[ip] = true
	}
	// It never fails, see its documentation.
	_, _ = rand.Read(c.key)
	return c
}

var (
	// address is what may be an IP address, with what may stand behind one.
	address = regexp.MustCompile(`[0-9A-Fa-f]*:[0-9A-Fa-f:]*:?[0-9A-Fa-f:.]*|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`)
	// attribute is one of a lease, as lease.Attributes and the API write it.
	attribute = regexp.MustCompile(`\b(duid|interface-id|remote-id|nonce|comment)("?[=:] ?)(\\?"(?:[^"\\]|\\.)*\\?"|[0-9a-fA-F]+\b)`)
)

// Clean is text with other names for subscribers.
func (c *Cleaner) Clean(text string) string {
	text = attribute.ReplaceAllStringFunc(text, func(found string) string {
		m := attribute.FindStringSubmatch(found)
		return m[1] + m[2] + c.name("anon-", m[3])
	})
	return address.ReplaceAllStringFunc(text, func(found string) string {
		// The end of a sentence is not the address's.
		bare := strings.TrimRight(found, ".")
		ip, err := netip.ParseAddr(bare)
		if err != nil {
			bare = strings.TrimSuffix(bare, ":")
			if ip, err = netip.ParseAddr(bare); err != nil {
				return found
			}
		}
		if c.keep[ip] || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() {
			return found
		}
		kind := "anon4-"
		if ip.Is6() {
			kind = "anon6-"
		}
		return c.name(kind, ip.String()) + found[len(bare):]
	})
}

// name is what stands for a value.
func (c *Cleaner) name(kind, value string) string {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(value))
	return kind + hex.EncodeToString(mac.Sum(nil)[:5])
}
