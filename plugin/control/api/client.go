package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// ErrNoRouter reports that nobody listens on the control socket.
var ErrNoRouter = errors.New("no router listens there; is it running?")

// Client talks to one router. It may be used from several goroutines.
type Client struct {
	http http.Client
	base string // URL without a path
	at   string // the router, as errors name it
}

// NewClient returns a client of the socket at path. Nothing is opened before the
// first call.
func NewClient(path string) *Client {
	t := transport()
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	// The host is not looked up; a request must have one.
	return &Client{http: http.Client{Transport: t}, base: "http://router", at: path}
}

// NewTLSClient returns a client of the router at address, a host and a port,
// which c shows its certificate to.
func NewTLSClient(address string, c *tls.Config) *Client {
	t := transport()
	t.TLSClientConfig = c
	return &Client{http: http.Client{Transport: t}, base: "https://" + address, at: address}
}

func transport() *http.Transport {
	return &http.Transport{DisableCompression: true, MaxIdleConns: 1, IdleConnTimeout: 10 * time.Second}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks how the router is. Like all calls it returns an *Error if the
// router says no, and an error that wraps ErrNoRouter if there is none.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, PathStatus, nil)
}

// Counters reads the totals.
func (c *Client) Counters(ctx context.Context) (Counters, error) {
	return call[Counters](ctx, c, http.MethodGet, PathCounters, nil)
}

// Pools lists the pools.
func (c *Client) Pools(ctx context.Context) ([]Pool, error) {
	return call[[]Pool](ctx, c, http.MethodGet, PathPools, nil)
}

// Trace asks what would happen to a packet.
func (c *Client) Trace(ctx context.Context, r TraceRequest) (Trace, error) {
	return call[Trace](ctx, c, http.MethodPost, PathTrace, r)
}

// Ready asks whether all is well. The Details of the *Error are what is not.
func (c *Client) Ready(ctx context.Context) error {
	_, err := call[Health](ctx, c, http.MethodGet, PathReady, nil)
	return err
}

// Resync makes the router read its data plane back and mend what differs. It
// does not wait for that.
func (c *Client) Resync(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathResync, nil)
	return err
}

// Reload makes the router read its configuration again. The Details of the
// *Error are what is wrong with it.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	return call[ReloadResult](ctx, c, http.MethodPost, PathReload, nil)
}

// SoftwireFilter selects softwires; what is zero selects all.
type SoftwireFilter struct {
	IPv4     netip.Addr
	B4       netip.Addr
	Counters bool // ask for counters too
	Problems bool // only those that the data plane has not taken
}

// Softwires yields the table page by page, in its stable order. It ends after
// the first error.
func (c *Client) Softwires(ctx context.Context, f SoftwireFilter) iter.Seq2[Softwire, error] {
	return func(yield func(Softwire, error) bool) {
		q := url.Values{"limit": {strconv.Itoa(MaxLimit)}}
		if f.IPv4.IsValid() {
			q.Set("ipv4", f.IPv4.String())
		}
		if f.B4.IsValid() {
			q.Set("b4", f.B4.String())
		}
		if f.Counters {
			q.Set("counters", "true")
		}
		if f.Problems {
			q.Set("problems", "true")
		}
		for {
			page, err := call[SoftwirePage](ctx, c, http.MethodGet, PathSoftwires+"?"+q.Encode(), nil)
			if err != nil {
				yield(Softwire{}, err)
				return
			}
			for _, s := range page.Softwires {
				if !yield(s, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.Set("after", page.Next)
		}
	}
}

// call makes one request and decodes its answer.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var to T
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return to, fmt.Errorf("control request: %w", err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, in)
	if err != nil {
		return to, fmt.Errorf("control request: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return to, c.failure(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err != nil {
		return to, c.failure(err)
	}
	if len(data) > MaxAnswer {
		return to, fmt.Errorf("%s: the answer is larger than %d bytes", c.at, MaxAnswer)
	}
	if res.StatusCode != http.StatusOK {
		e := &Error{}
		if err := json.Unmarshal(data, e); err != nil || e.Message == "" {
			e.Message = fmt.Sprintf("the router answers %q", res.Status)
		}
		e.Status = res.StatusCode
		return to, e
	}
	if err := json.Unmarshal(data, &to); err != nil {
		return to, fmt.Errorf("%s: the answer is not understood: %w", c.at, err)
	}
	return to, nil
}

// failure puts what went wrong below HTTP into an operator's words.
func (c *Client) failure(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: %w", c.at, ErrNoRouter)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("%s: %w", c.at, err)
}
