package lease

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// Attributes is what mechanisms want to be remembered of a lease, packed: for
// each a byte with its name, a byte with its length, and the value. The zero
// value has none. Attributes are comparable with ==.
type Attributes string

// Attribute is the name of an attribute. Numbers are in files: they keep their
// meaning.
type Attribute uint8

// The attributes.
const (
	DUID        Attribute = 1 // DHCPv6 client identifier (RFC 8415 section 11)
	InterfaceID Attribute = 2 // of the relay agent (RFC 8415 section 21.18)
	RemoteID    Attribute = 3 // of the relay agent (RFC 4649)
	Nonce       Attribute = 4 // PCP mapping nonce (RFC 6887 section 11.1)
	Comment     Attribute = 5 // an operator's, or a PCP client's (RFC 7220)
	// Contact is where a PCP client can be told of changes. It changes with every
	// port that the client asks from, so a change of it alone is neither made
	// durable by itself nor remembered in the history.
	Contact Attribute = 6
)

// maxAttributes bounds the memory of a lease.
const maxAttributes = 1024

// ErrAttributes reports attributes that are too long or not well-formed.
var ErrAttributes = errors.New("unusable attributes")

// With returns a with one more attribute. The error wraps ErrAttributes.
func (a Attributes) With(name Attribute, value string) (Attributes, error) {
	if len(value) > 255 || len(a)+2+len(value) > maxAttributes {
		return a, fmt.Errorf("attribute %d of %d octets: %w: at most 255, and %d in all", name, len(value), ErrAttributes, maxAttributes)
	}
	return a + Attributes([]byte{byte(name), byte(len(value))}) + Attributes(value), nil
}

// Without returns a without the attributes of that name.
func (a Attributes) Without(name Attribute) Attributes {
	var rest []byte
	for n, value := range a.All() {
		if n != name {
			rest = append(append(rest, byte(n), byte(len(value))), value...)
		}
	}
	return Attributes(rest)
}

// same says whether nothing differs but what is not made durable by itself.
func (a Attributes) same(b Attributes) bool {
	return a == b || a.Without(Contact) == b.Without(Contact)
}

// Validate reports what With could not have made. The error wraps
// ErrAttributes.
func (a Attributes) Validate() error {
	if len(a) > maxAttributes {
		return fmt.Errorf("%d octets: %w: at most %d", len(a), ErrAttributes, maxAttributes)
	}
	for rest := a; rest != ""; {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			return fmt.Errorf("%w: cut short", ErrAttributes)
		}
		rest = rest[2+int(rest[1]):]
	}
	return nil
}

// All yields the attributes in the order in which they were added.
func (a Attributes) All() iter.Seq2[Attribute, string] {
	return func(yield func(Attribute, string) bool) {
		for rest := a; len(rest) >= 2 && len(rest) >= 2+int(rest[1]); {
			end := 2 + int(rest[1])
			if !yield(Attribute(rest[0]), string(rest[2:end])) {
				return
			}
			rest = rest[end:]
		}
	}
}

// names are what people call the attributes.
var names = [...]string{DUID: "duid", InterfaceID: "interface-id", RemoteID: "remote-id", Nonce: "nonce", Comment: "comment", Contact: "contact"}

// String is for people, such as "duid=00010001 comment=\"moved\"": a comment as
// text, others as hexadecimal octets. It is cut where it gets longer than 1024
// octets.
func (a Attributes) String() string {
	var parts []string
	for n, value := range a.All() {
		text := hex.EncodeToString([]byte(value))
		if n == Comment {
			text = strconv.QuoteToASCII(value)
		}
		name := strconv.Itoa(int(n))
		if int(n) < len(names) && names[n] != "" {
			name = names[n]
		}
		parts = append(parts, name+"="+text)
	}
	all := strings.Join(parts, " ")
	return all[:min(len(all), maxAttributes)]
}

// Get returns the first attribute of that name.
func (a Attributes) Get(name Attribute) (string, bool) {
	for n, value := range a.All() {
		if n == name {
			return value, true
		}
	}
	return "", false
}
