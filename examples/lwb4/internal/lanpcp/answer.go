package lanpcp

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Answer is what comes of a request.
type Answer struct {
	Payload []byte // to be sent back, nil for nothing
	Changed bool   // Mappings are others
	Freed   []Freed
}

// Answer answers a UDP payload.
func (t *Table) Answer(now time.Time, from netip.AddrPort, payload []byte) Answer {
	// RFC 6887 section 8.2: only hosts of the LAN.
	if !t.config.LAN.Contains(from.Addr()) {
		return Answer{}
	}
	a, err := t.answer(now, from, payload)
	if err == nil {
		return a
	}
	var f *refusal
	var fault *pcpmsg.Fault
	switch {
	case errors.As(err, &f):
		return Answer{Payload: pcpmsg.AppendError(nil, payload, f.result, seconds(f.lifetime), t.seconds(now))}
	case errors.As(err, &fault):
		return Answer{Payload: pcpmsg.AppendError(nil, payload, fault.Result, seconds(fault.Result.ErrorLifetime()), t.seconds(now))}
	}
	return Answer{}
}

// refusal is a result that a request is answered with, and for how long.
type refusal struct {
	result   pcpmsg.ResultCode
	lifetime time.Duration
}

func (r *refusal) Error() string { return r.result.String() }

func refuse(result pcpmsg.ResultCode) error { return &refusal{result, result.ErrorLifetime()} }

func seconds(d time.Duration) uint32 { return uint32(max(d, 0) / time.Second) }

// ask is a request that is well-formed.
type ask struct {
	pcpmsg.Request
	internal
	peer   netip.AddrPort // of PEER, unset for MAP
	only   bool           // PREFER_FAILURE
	client netip.AddrPort
}

func (t *Table) answer(now time.Time, from netip.AddrPort, payload []byte) (Answer, error) {
	r, err := pcpmsg.ParseRequest(payload)
	if err != nil {
		return Answer{}, err
	}
	// RFC 6887 section 8.2.
	if r.Client != from.Addr() {
		return Answer{}, refuse(pcpmsg.AddressMismatch)
	}
	switch r.Opcode {
	case pcpmsg.Announce:
		// RFC 7648 section 3.5: handled here, and not relayed.
		return Answer{Payload: t.announcement(now)}, nil
	case pcpmsg.Map, pcpmsg.Peer:
	default:
		return Answer{}, refuse(pcpmsg.UnsuppOpcode)
	}
	a, err := read(r, from)
	if err != nil {
		return Answer{}, err
	}
	freed := t.Expire(now)
	var out Answer
	if a.Lifetime == 0 {
		out, err = t.end(now, a)
	} else {
		out, err = t.grant(now, a)
	}
	out.Freed = append(freed, out.Freed...)
	out.Changed = out.Changed || len(freed) > 0
	return out, err
}

// read takes options and fields (RFC 6887 sections 7.3, 11.3 and 12.3).
func read(r pcpmsg.Request, from netip.AddrPort) (a ask, err error) {
	if err := r.Options.Validate(); err != nil {
		return a, err
	}
	a = ask{Request: r, client: from}
	for o := range r.Options.All() {
		switch {
		case o.Code == pcpmsg.CodePreferFailure && r.Opcode == pcpmsg.Map:
			if _, err := pcpmsg.ParsePreferFailure(o.Data); err != nil {
				return a, err
			}
			// RFC 6887 section 13.2.
			if a.only || r.Lifetime == 0 || r.Mapping.ExternalPort == 0 {
				return a, refuse(pcpmsg.MalformedOption)
			}
			a.only = true
		case o.Code.Mandatory():
			return a, refuse(pcpmsg.UnsuppOption)
		}
	}
	m := &r.Mapping
	switch {
	case m.Protocol == 0 && m.InternalPort != 0:
		return a, refuse(pcpmsg.MalformedRequest)
	case m.Protocol != uint8(nat.TCP) && m.Protocol != uint8(nat.UDP), m.InternalPort == 0:
		return a, refuse(pcpmsg.UnsuppProtocol)
	}
	a.internal = internal{nat.Protocol(m.Protocol), netip.AddrPortFrom(from.Addr(), m.InternalPort)}
	if r.Opcode == pcpmsg.Peer {
		a.peer = r.Remote
		if !a.peer.Addr().Is4() || a.peer.Addr().IsUnspecified() || a.peer.Port() == 0 {
			return a, refuse(pcpmsg.MalformedRequest)
		}
	}
	return a, nil
}

// end deletes a mapping, also one that there is not (RFC 6887 section 15.1).
func (t *Table) end(now time.Time, a ask) (Answer, error) {
	out := Answer{}
	if e := t.endpoints[a.internal]; e != nil && e.uses[a.peer] != nil {
		u := e.uses[a.peer]
		switch {
		case u.nonce != a.Mapping.Nonce:
			return out, &refusal{pcpmsg.NotAuthorized, u.expires.Sub(now)}
		// RFC 6887 section 12.3 has a PEER never shorten a lifetime.
		case a.Opcode == pcpmsg.Peer:
			return Answer{Payload: t.granted(now, e, a.peer, u, nil)}, nil
		}
		out.Freed, out.Changed = t.remove(e, a.peer), true
	}
	r := pcpmsg.Response{Opcode: a.Opcode, Epoch: t.seconds(now), Body: pcpmsg.Body{Mapping: a.Mapping, Remote: a.Remote}}
	out.Payload = r.Append(nil)
	return out, nil
}

// grant makes a mapping, or extends the one that there is.
func (t *Table) grant(now time.Time, a ask) (Answer, error) {
	if len(t.ports.Sets) == 0 {
		return Answer{}, refuse(pcpmsg.NetworkFailure)
	}
	e := t.endpoints[a.internal]
	if e != nil {
		if u := e.uses[a.peer]; u != nil && u.nonce != a.Mapping.Nonce {
			return Answer{}, &refusal{pcpmsg.NotAuthorized, u.expires.Sub(now)}
		}
	}
	changed := e == nil || e.uses[a.peer] == nil
	if changed {
		if err := t.quota(a); err != nil {
			return Answer{}, err
		}
	}
	if e == nil {
		var err error
		if e, err = t.open(a); err != nil {
			return Answer{}, err
		}
	}
	if a.only && (e.port != a.Mapping.ExternalPort || a.Mapping.External.IsValid() && !a.Mapping.External.IsUnspecified() && a.Mapping.External != t.ports.IPv4) {
		if len(e.uses) == 0 {
			t.remove(e, a.peer)
		}
		return Answer{}, refuse(pcpmsg.CannotProvideExternal)
	}
	u := e.uses[a.peer]
	if u == nil {
		u = &use{nonce: a.Mapping.Nonce}
		e.uses[a.peer] = u
	}
	u.client = a.client
	expires := now.Add(t.lifetime(now, time.Duration(a.Lifetime)*time.Second))
	if a.Opcode == pcpmsg.Map || expires.After(u.expires) {
		u.expires = expires
	}
	return Answer{Payload: t.granted(now, e, a.peer, u, echo(a)), Changed: changed}, nil
}

// echo is the options that were processed (RFC 6887 section 7.3).
func echo(a ask) (o pcpmsg.Options) {
	if a.only {
		o = pcpmsg.PreferFailure{}.Append(o)
	}
	return o
}

// lifetime is what is granted: no longer than the ports are ours.
func (t *Table) lifetime(now time.Time, wanted time.Duration) time.Duration {
	d := min(max(wanted, leastLifetime), t.config.Lifetime)
	if !t.until.IsZero() {
		d = max(min(d, t.until.Sub(now)), time.Second)
	}
	return d
}

// quota refuses one mapping more (RFC 6887 section 17.2).
func (t *Table) quota(a ask) error {
	host, all := 0, 0
	for in, e := range t.endpoints {
		all += len(e.uses)
		if in.host.Addr() == a.host.Addr() {
			host += len(e.uses)
		}
	}
	switch {
	case host >= t.config.PerHost:
		return refuse(pcpmsg.UserExQuota)
	case all >= t.config.Total:
		return refuse(pcpmsg.NoResources)
	}
	return nil
}

// open gives a port of a host one of ours.
func (t *Table) open(a ask) (*endpoint, error) {
	port, ok := t.pick(a.protocol, a.Mapping.ExternalPort, a.host.Port())
	if !ok {
		return nil, refuse(pcpmsg.NoResources)
	}
	e := &endpoint{internal: a.internal, port: port, uses: map[netip.AddrPort]*use{}}
	t.endpoints[a.internal] = e
	t.taken[external{a.protocol, port}] = e
	return e, nil
}

// granted is the answer about a mapping.
func (t *Table) granted(now time.Time, e *endpoint, peer netip.AddrPort, u *use, options pcpmsg.Options) []byte {
	r := pcpmsg.Response{
		Opcode: pcpmsg.Map, Lifetime: seconds(u.expires.Sub(now)), Epoch: t.seconds(now),
		Body: pcpmsg.Body{
			Mapping: pcpmsg.Mapping{
				Nonce: u.nonce, Protocol: uint8(e.protocol), InternalPort: e.host.Port(),
				External: t.ports.IPv4, ExternalPort: e.port,
			},
			Options: options,
		},
	}
	if peer.IsValid() {
		r.Opcode, r.Remote = pcpmsg.Peer, peer
	}
	return r.Append(nil)
}
