package control

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// leaseRequest reads the body of a request for a lease.
func leaseRequest(r *http.Request) (lease.Request, error) {
	var in api.LeaseRequest
	if err := decode(r, &in); err != nil {
		return lease.Request{}, err
	}
	q := lease.Request{
		Subscriber: in.Subscriber, B4: in.B4, Prefix: in.Prefix, Mechanism: pool.Mechanism(in.Mechanism), Number: in.Number,
		Pool: in.Pool, Ports: in.Ports, Lifetime: time.Duration(in.Lifetime) * time.Second,
	}
	var err error
	if q.Want, err = want(in.Want); err != nil {
		return lease.Request{}, err
	}
	// In the same order each time: others would be a change of the lease.
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		if q.Attributes, err = addAttribute(q.Attributes, name, in.Attributes[name]); err != nil {
			return lease.Request{}, err
		}
	}
	return q, nil
}

// want is a port set that is wished for, if there is one.
func want(k *api.Key) (softwire.Key, error) {
	if k == nil {
		return softwire.Key{}, nil
	}
	key, err := k.Key()
	if err != nil {
		return key, bad("want: %v", err)
	}
	return key, nil
}

// asking answers a request whose body is a LeaseRequest.
func (s *Server) asking(f func(context.Context, lease.Request) (lease.Lease, error)) handler {
	return func(r *http.Request, _ url.Values) (any, error) {
		q, err := leaseRequest(r)
		if err != nil {
			return nil, err
		}
		l, err := f(r.Context(), q)
		return leaseAnswer(l, err)
	}
}

func (s *Server) release(r *http.Request, _ url.Values) (any, error) {
	q, err := leaseRequest(r)
	if err != nil {
		return nil, err
	}
	if err := s.router.Lending.Leases.Release(r.Context(), q); err != nil {
		return nil, leaseError(err)
	}
	return struct{}{}, nil
}

func (s *Server) remove(r *http.Request, _ url.Values) (any, error) {
	var in api.RemoveRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	k, err := in.Key.Key()
	if err != nil {
		return nil, bad("%v", err)
	}
	if err := s.router.Lending.Leases.Remove(r.Context(), k, in.Reason); err != nil {
		return nil, leaseError(err)
	}
	l, _ := s.router.Lending.Leases.Lease(k)
	return fromLease(l), nil
}

func (s *Server) unreserve(r *http.Request, _ url.Values) (any, error) {
	var in api.Key
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	k, err := in.Key()
	if err != nil {
		return nil, bad("%v", err)
	}
	l, err := s.router.Lending.Leases.Unreserve(r.Context(), k)
	return leaseAnswer(l, err)
}

func (s *Server) move(r *http.Request, _ url.Values) (any, error) {
	var in api.MoveRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	from, err := in.From.Key()
	if err != nil {
		return nil, bad("from: %v", err)
	}
	q := lease.Request{Pool: in.Pool}
	if q.Want, err = want(in.Want); err != nil {
		return nil, err
	}
	l, err := s.router.Lending.Leases.Move(r.Context(), from, q)
	return leaseAnswer(l, err)
}

func leaseAnswer(l lease.Lease, err error) (any, error) {
	if err != nil {
		return nil, leaseError(err)
	}
	return fromLease(l), nil
}

// leaseError tells a client what it can do about err.
func leaseError(err error) error {
	for _, known := range []struct {
		err    error
		code   api.Code
		status int
	}{
		{lease.ErrExhausted, api.CodeExhausted, http.StatusConflict},
		{lease.ErrQuota, api.CodeQuota, http.StatusConflict},
		{lease.ErrMechanism, api.CodeMechanism, http.StatusConflict},
		{lease.ErrTaken, api.CodeTaken, http.StatusConflict},
		{lease.ErrUnknown, api.CodeUnknown, http.StatusNotFound},
		{lease.ErrPool, api.CodeInvalid, http.StatusUnprocessableEntity},
		{lease.ErrInvalid, api.CodeInvalid, http.StatusUnprocessableEntity},
		{provision.ErrNotProgrammed, api.CodeNotProgrammed, http.StatusServiceUnavailable},
		{provision.ErrStorage, api.CodeStorage, http.StatusServiceUnavailable},
		{lease.ErrAttributes, api.CodeInvalid, http.StatusUnprocessableEntity},
	} {
		if errors.Is(err, known.err) {
			return &api.Error{Status: known.status, Code: known.code, Message: err.Error()}
		}
	}
	return err
}
