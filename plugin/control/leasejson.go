package control

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
)

// fromLease is l as the API shows it.
func fromLease(l lease.Lease) api.Lease {
	a := api.Lease{
		Key: api.FromKey(l.Key()), Subscriber: l.Subscriber, Number: l.Number,
		B4: l.Softwire.B4, BR: l.Softwire.BR, Pool: l.Pool, Mechanism: string(l.Mechanism), State: l.State.String(),
		Reserved: l.Reserved, Moved: l.Moved, Configured: l.Configured,
		Start: timeOf(l.Start), Expires: timeOf(l.Expires), HeldUntil: timeOf(l.Until),
	}
	for name, value := range l.Attributes.All() {
		if a.Attributes == nil {
			a.Attributes = make(map[string]string)
		}
		a.Attributes[attributeName(name)] = attributeText(name, value)
	}
	return a
}

// timeOf is t for JSON, where the zero time is left out.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// attributeNames are the names of attributes in the API.
func attributeNames() map[lease.Attribute]string {
	return map[lease.Attribute]string{
		lease.DUID: "duid", lease.InterfaceID: "interface-id", lease.RemoteID: "remote-id",
		lease.Nonce: "nonce", lease.Comment: "comment", lease.Contact: "contact",
	}
}

func attributeName(a lease.Attribute) string {
	if name, ok := attributeNames()[a]; ok {
		return name
	}
	return fmt.Sprint("attribute-", uint8(a))
}

func attributeText(a lease.Attribute, value string) string {
	if a == lease.Comment {
		return value
	}
	return hex.EncodeToString([]byte(value))
}

func addAttribute(to lease.Attributes, name, text string) (lease.Attributes, error) {
	for a, known := range attributeNames() {
		if known != name {
			continue
		}
		if a != lease.Comment {
			b, err := hex.DecodeString(text)
			if err != nil {
				return to, bad("attribute %s: %v", name, err)
			}
			text = string(b)
		}
		to, err := to.With(a, text)
		if err != nil {
			return to, bad("attribute %s: %v", name, err)
		}
		return to, nil
	}
	return to, bad("attribute %.60q is unknown", name)
}
