package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Sizes in octets.
const (
	lengthSize = 2
	headSize   = 5    // number and kind
	maxMessage = 4096 // without its length
	maxText    = 1024 // of a failure
)

// errMalformed reports what no message looks like.
var errMalformed = errors.New("malformed message")

// kind is what a message is.
type kind uint8

const (
	offer   kind = 1
	acquire kind = 2
	release kind = 3

	granted kind = 16
	done    kind = 17
	failure kind = 18
)

// request is a message of who asks.
type request struct {
	kind  kind
	wait  time.Duration
	lease lease.Request // without Within
}

// flags of a request.
const (
	flagSubscriber = 1 << iota
	flagB4
	flagPrefix
	flagWant
	flagsEnd
)

// flagConfigured is the flag of a lease.
const flagConfigured = 1

// validate reports what a message has no place for. The error wraps lease.ErrInvalid.
func validate(q lease.Request) error {
	if q.Ports < 0 || q.Ports > math.MaxUint16+1 {
		return fmt.Errorf("%w: %d ports", lease.ErrInvalid, q.Ports)
	}
	if len(q.Mechanism)+len(q.Pool)+len(q.Attributes) > maxMessage/2 {
		return fmt.Errorf("%w: mechanism, pool and attributes are longer than %d octets", lease.ErrInvalid, maxMessage/2)
	}
	for _, a := range []netip.Addr{q.Subscriber, q.B4, q.Prefix.Addr()} {
		if a.IsValid() && (!a.Is6() || a.Zone() != "") {
			return fmt.Errorf("%w: %s is not an IPv6 address", lease.ErrInvalid, a)
		}
	}
	return nil
}

// appendRequest appends the message with r, which is valid, to b.
func appendRequest(b []byte, number uint32, r request) []byte {
	q := r.lease
	start := len(b)
	b = appendHead(b, number, r.kind)
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(r.wait.Milliseconds(), 0), math.MaxUint32)))
	at := len(b)
	b = append(b, 0, q.Number)
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(q.Lifetime/time.Second, 0), math.MaxUint32)))
	b = binary.BigEndian.AppendUint32(b, uint32(q.Ports))
	if q.Subscriber.IsValid() {
		b[at] |= flagSubscriber
		b = appendAddr(b, q.Subscriber)
	}
	if q.B4.IsValid() {
		b[at] |= flagB4
		b = appendAddr(b, q.B4)
	}
	if q.Prefix.IsValid() {
		b[at] |= flagPrefix
		b = appendPrefix(b, q.Prefix)
	}
	if q.Want.IPv4.Is4() {
		b[at] |= flagWant
		b = appendKey(b, q.Want)
	}
	b = appendText(b, string(q.Mechanism))
	b = appendText(b, q.Pool)
	b = appendText(b, string(q.Attributes))
	return finish(b, start)
}

// parseRequest reads the content of a request.
func parseRequest(k kind, content []byte) (request, error) {
	if k != offer && k != acquire && k != release {
		return request{}, fmt.Errorf("%w: %d is no kind of request", errMalformed, k)
	}
	p := parser{rest: content}
	r := request{kind: k, wait: time.Duration(p.uint32()) * time.Millisecond}
	flags := p.uint8()
	q := &r.lease
	q.Number = p.uint8()
	q.Lifetime = time.Duration(p.uint32()) * time.Second
	ports := p.uint32()
	if ports > math.MaxUint16+1 {
		p.failed = true
	}
	q.Ports = int(ports)
	if flags&flagSubscriber != 0 {
		q.Subscriber = p.addr()
	}
	if flags&flagB4 != 0 {
		q.B4 = p.addr()
	}
	if flags&flagPrefix != 0 {
		q.Prefix = p.prefix()
	}
	if flags&flagWant != 0 {
		q.Want = p.key()
	}
	q.Mechanism = pool.Mechanism(p.text())
	q.Pool = p.text()
	q.Attributes = lease.Attributes(p.text())
	if flags >= flagsEnd || !p.finished() || q.Attributes.Validate() != nil {
		return request{}, fmt.Errorf("%w: %d octets of a request", errMalformed, len(content))
	}
	return r, nil
}

// appendLease appends the answer with what a lease grants.
func appendLease(b []byte, number uint32, l lease.Lease) []byte {
	start := len(b)
	b = appendHead(b, number, granted)
	var flags byte
	if l.Configured {
		flags |= flagConfigured
	}
	b = appendKey(append(b, flags), l.Key())
	b = appendAddr(b, l.Softwire.B4)
	b = appendAddr(b, l.Softwire.BR)
	b = appendPrefix(b, l.Subscriber)
	var expires uint64
	if !l.Expires.IsZero() {
		expires = uint64(l.Expires.Unix())
	}
	b = binary.BigEndian.AppendUint64(b, expires)
	b = appendText(b, string(l.Mechanism))
	b = appendText(b, l.Pool)
	return finish(b, start)
}

// appendDone appends the answer to a release.
func appendDone(b []byte, number uint32) []byte {
	start := len(b)
	return finish(appendHead(b, number, done), start)
}

// appendFailure appends the answer to what cannot be done. What is long of it is cut.
func appendFailure(b []byte, number uint32, e *api.Error) []byte {
	start := len(b)
	b = appendHead(b, number, failure)
	b = binary.BigEndian.AppendUint16(b, uint16(e.Status))
	b = appendText(b, string(e.Code[:min(len(e.Code), maxText)]))
	b = appendText(b, e.Message[:min(len(e.Message), maxText)])
	return finish(b, start)
}

// parseAnswer reads the content of an answer: a lease, which is zero with kind done,
// or an *api.Error as failed.
func parseAnswer(k kind, content []byte) (l lease.Lease, failed *api.Error, err error) {
	p := parser{rest: content}
	switch k {
	case granted:
		flags := p.uint8()
		key := p.key()
		l.Softwire = softwire.Softwire{IPv4: key.IPv4, PortSet: key.PortSet, B4: p.addr(), BR: p.addr()}
		if l.Softwire.B4.IsUnspecified() {
			l.Softwire.B4 = netip.Addr{}
		}
		l.Subscriber = p.prefix()
		if at := p.uint64(); at > 0 && at < 1<<40 {
			l.Expires = time.Unix(int64(at), 0).UTC()
		} else if at > 0 {
			p.failed = true
		}
		l.Mechanism = pool.Mechanism(p.text())
		l.Pool = p.text()
		l.Configured = flags&flagConfigured != 0
	case done:
	case failure:
		failed = &api.Error{Status: int(p.uint16())}
		failed.Code = api.Code(p.text())
		failed.Message = p.text()
	default:
		return lease.Lease{}, nil, fmt.Errorf("%w: %d is no kind of answer", errMalformed, k)
	}
	if !p.finished() {
		return lease.Lease{}, nil, fmt.Errorf("%w: %d octets of an answer", errMalformed, len(content))
	}
	return l, failed, nil
}

// appendHead begins a message, and finish ends the one that began at start.
func appendHead(b []byte, number uint32, k kind) []byte {
	b = append(b, 0, 0)
	return append(binary.BigEndian.AppendUint32(b, number), byte(k))
}

func finish(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start-lengthSize))
	return b
}

func appendAddr(b []byte, a netip.Addr) []byte {
	ip := a.As16()
	return append(b, ip[:]...)
}

func appendPrefix(b []byte, p netip.Prefix) []byte {
	return append(appendAddr(b, p.Addr()), byte(p.Bits()))
}

func appendKey(b []byte, k softwire.Key) []byte {
	ip, params := k.IPv4.As4(), k.PortSet.Params()
	b = append(append(b, ip[:]...), params.Offset(), params.Length())
	return binary.BigEndian.AppendUint16(b, k.PortSet.PSID())
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
