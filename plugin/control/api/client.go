package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
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

// ClientTLS is how to talk to a router whose certificate is of the authority in
// the PEM file ca, with the certificate and key of two others. The error names the
// file that cannot be used.
func ClientTLS(ca, cert, key string) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", cert, key, err)
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("authority %s: has no certificate in PEM form", ca)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: authority, Certificates: []tls.Certificate{certificate}}, nil
}

// maxConns is how many calls go on at the same time; others wait for them. Each
// keeps its connection for the next: making one costs more than a call.
const maxConns = 64

func transport() *http.Transport {
	return &http.Transport{
		DisableCompression: true, MaxConnsPerHost: maxConns, MaxIdleConns: maxConns, MaxIdleConnsPerHost: maxConns,
		IdleConnTimeout: 10 * time.Second,
	}
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

// ResetPCP begins a new epoch of PCP: all clients are told, and ask for their port
// sets again. It does not wait for that.
func (c *Client) ResetPCP(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathPCPReset, nil)
	return err
}

// AddPool adds a pool while the router runs. It stays over restarts, until it is
// removed.
func (c *Client) AddPool(ctx context.Context, r PoolRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathPoolAdd, r)
	return err
}

// RemovePool removes a pool that AddPool added and nobody uses any more.
func (c *Client) RemovePool(ctx context.Context, name string) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathPoolRemove, PoolRequest{Name: name})
	return err
}

// DrainPool ends, or begins again, that a pool gives out and extends leases.
func (c *Client) DrainPool(ctx context.Context, name string, drain bool) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathPoolDrain, PoolRequest{Name: name, Stop: !drain})
	return err
}

// Backup writes a copy of the router's store to w, as it is at one moment.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return c.copy(ctx, w, http.MethodPost, PathBackup)
}

// Metrics writes what Prometheus reads to w.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	return c.copy(ctx, w, http.MethodGet, PathMetrics)
}

// Goroutines writes what each goroutine of the router does to w.
func (c *Client) Goroutines(ctx context.Context, w io.Writer) error {
	return c.copy(ctx, w, http.MethodGet, PathGoroutines)
}

// SetLogLevel changes what the router logs: error, warning, info, debug or trace.
func (c *Client) SetLogLevel(ctx context.Context, level string) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathLog, LogRequest{Level: level})
	return err
}

// copy writes the answer to w as it is.
func (c *Client) copy(ctx context.Context, w io.Writer, method, path string) error {
	res, err := c.do(ctx, method, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("%s: the answer to %s is not complete: %w", c.at, path, err)
	}
	return nil
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
	q := url.Values{}
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
	return pages(q, func(q url.Values) ([]Softwire, string, error) {
		page, err := call[SoftwirePage](ctx, c, http.MethodGet, PathSoftwires+"?"+q.Encode(), nil)
		return page.Softwires, page.Next, err
	})
}

// call makes one request and decodes its answer.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var to T
	res, err := c.do(ctx, method, path, body)
	if err != nil {
		return to, err
	}
	defer res.Body.Close()
	data, err := c.read(res.Body)
	if err != nil {
		return to, err
	}
	if err := json.Unmarshal(data, &to); err != nil {
		return to, fmt.Errorf("%s: the answer is not understood: %w", c.at, err)
	}
	return to, nil
}

// Upgrade opens a connection to the router, on which protocol is spoken from then on.
// The caller closes it. Errors are those of all calls.
func (c *Client) Upgrade(ctx context.Context, path, protocol string) (io.ReadWriteCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("control request: %w", err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	res, err := c.send(req, http.StatusSwitchingProtocols)
	if err != nil {
		return nil, err
	}
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok || res.Header.Get("Upgrade") != protocol {
		res.Body.Close()
		return nil, fmt.Errorf("%s: the router changes to protocol %.60q instead of %s", c.at, res.Header.Get("Upgrade"), protocol)
	}
	return conn, nil
}

// do makes one request. An answer but 200 is an *Error.
func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("control request: %w", err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, in)
	if err != nil {
		return nil, fmt.Errorf("control request: %w", err)
	}
	return c.send(req, http.StatusOK)
}

// send makes a request. An answer but one with status good is an *Error.
func (c *Client) send(req *http.Request, good int) (*http.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.failure(err)
	}
	if res.StatusCode == good {
		return res, nil
	}
	defer res.Body.Close()
	data, err := c.read(res.Body)
	if err != nil {
		return nil, err
	}
	e := &Error{}
	if err := json.Unmarshal(data, e); err != nil || e.Message == "" {
		e.Message = fmt.Sprintf("the router answers %q", res.Status)
	}
	e.Status = res.StatusCode
	return nil, e
}

// read reads an answer that is to be held in memory.
func (c *Client) read(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, MaxAnswer+1))
	if err != nil {
		return nil, c.failure(err)
	}
	if len(data) > MaxAnswer {
		return nil, fmt.Errorf("%s: the answer is larger than %d bytes", c.at, MaxAnswer)
	}
	return data, nil
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
