package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/pprof"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// handler returns what to answer with as JSON, or what to write as it is if that
// is a func(io.Writer) error, or who answers if it is an http.Handler.
type handler func(*http.Request, url.Values) (any, error)

// Handler is the API without a server around it.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path string, parameters []string, f handler) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			s.answer(w, r, method, parameters, f)
		})
	}
	handle(http.MethodGet, api.PathStatus, nil, func(r *http.Request, _ url.Values) (any, error) {
		return s.router.Status.Status(r.Context())
	})
	handle(http.MethodGet, api.PathHealth, nil, func(*http.Request, url.Values) (any, error) {
		return api.Health{Healthy: true}, nil
	})
	handle(http.MethodGet, api.PathReady, nil, s.ready)
	handle(http.MethodPost, api.PathResync, nil, func(*http.Request, url.Values) (any, error) {
		s.router.Resyncer.Resync()
		return struct{}{}, nil
	})
	handle(http.MethodGet, api.PathPools, nil, func(r *http.Request, _ url.Values) (any, error) {
		return s.router.Status.Pools(r.Context())
	})
	handle(http.MethodGet, api.PathCounters, nil, func(r *http.Request, _ url.Values) (any, error) {
		return s.router.Counters.Counters(r.Context())
	})
	handle(http.MethodGet, api.PathSoftwires, softwireParameters(), s.softwires)
	handle(http.MethodGet, api.PathWho, whoParameters(), s.who)
	handle(http.MethodGet, api.PathHistory, historyParameters(), s.history)
	handle(http.MethodGet, api.PathMetrics, nil, func(*http.Request, url.Values) (any, error) {
		return s.router.Metrics, nil
	})
	handle(http.MethodGet, api.PathGoroutines, nil, func(*http.Request, url.Values) (any, error) {
		return goroutines, nil
	})
	handle(http.MethodPost, api.PathLog, nil, s.logLevel)
	handle(http.MethodPost, api.PathTrace, nil, s.trace)
	handle(http.MethodPost, api.PathReload, nil, func(r *http.Request, _ url.Values) (any, error) {
		result, err := s.router.Reloader.Reload(r.Context())
		if err != nil {
			return nil, refused(err)
		}
		return result, nil
	})
	handle(http.MethodPost, api.PathPCPReset, nil, func(r *http.Request, _ url.Values) (any, error) {
		if s.router.PCP == nil {
			return nil, &api.Error{Status: http.StatusNotImplemented, Message: "this router does not serve PCP: pcp.enabled is false in its configuration"}
		}
		return struct{}{}, leaseError(s.router.PCP.ResetPCP(r.Context()))
	})
	s.handleLending(mux, handle)
	s.handleAnnouncing(mux, handle)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &api.Error{Status: http.StatusNotFound, Message: fmt.Sprintf("there is no %.200q", r.URL.Path)})
	})
	return mux
}

// goroutines writes what each goroutine of the process does.
func goroutines(w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 1) }

// answer checks what all requests have in common and writes what f returns.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, method string, parameters []string, f handler) {
	if r.Method != method {
		w.Header().Set("Allow", method)
		s.fail(w, r, &api.Error{Status: http.StatusMethodNotAllowed, Message: fmt.Sprintf("%s takes %s", r.URL.Path, method)})
		return
	}
	if err := s.admit(); err != nil {
		w.Header().Set("Retry-After", "1")
		s.fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, api.MaxRequest)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.fail(w, r, bad("the query is malformed"))
		return
	}
	for name, values := range query {
		if !slices.Contains(parameters, name) || len(values) != 1 {
			s.fail(w, r, bad("parameter %.60q is unknown or given twice", name))
			return
		}
	}
	result, err := f(r, query)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	switch as := result.(type) {
	case func(io.Writer) error:
		s.stream(w, r, as)
		return
	case http.Handler:
		as.ServeHTTP(w, r)
		return
	}
	body, err := json.Marshal(result)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, body)
}

// admit says why one more request is not taken now; nil if it is.
func (s *Server) admit() error {
	if s.requests.Allow() {
		return nil
	}
	return &api.Error{Status: http.StatusTooManyRequests, Message: fmt.Sprintf("more than %d requests in a second; see control.rate", s.requests.Burst())}
}

// stream answers with what write writes. If that fails after a part of it the
// connection ends, so that the client does not take the part for the whole.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, write func(io.Writer) error) {
	out := &counter{w: w}
	w.Header().Set("Content-Type", "application/octet-stream")
	switch err := write(out); {
	case err == nil:
	case out.n == 0:
		s.fail(w, r, err)
	default:
		s.log.WithError(err).WithField("path", r.URL.Path).Warn("control request failed half way")
		panic(http.ErrAbortHandler)
	}
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil // an answer has not begun by this
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// explain is err as a client is told it: the router's own fault unless it is an
// *api.Error.
func (s *Server) explain(path string, err error) *api.Error {
	var e *api.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &tooLarge):
		return &api.Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit)}
	case errors.Is(err, ErrUnsupported), errors.Is(err, ErrNoHistory):
		return &api.Error{Status: http.StatusNotImplemented, Message: err.Error()}
	}
	s.log.WithError(err).WithField("path", path).Warn("control request failed")
	return &api.Error{Status: http.StatusInternalServerError, Message: err.Error()}
}

// fail answers with err.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := s.explain(r.URL.Path, err)
	body, err := json.Marshal(e)
	if err != nil {
		body = []byte(`{"message":"no words for what went wrong"}`)
	}
	write(w, e.Status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The caller has gone if this fails; there is nobody to tell.
	_, _ = w.Write(append(body, '\n'))
}

// decode reads the body of a request, in which everything has to be known.
func decode(r *http.Request, to any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(to)
	var tooLarge *http.MaxBytesError
	if err == nil || errors.As(err, &tooLarge) {
		return err
	}
	return bad("the request is not understood: %v", err)
}

func bad(format string, args ...any) error {
	return &api.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// refused is a configuration that was not taken, one detail per problem.
func refused(err error) error {
	e := &api.Error{Status: http.StatusUnprocessableEntity, Message: "the configuration was not taken; nothing was changed"}
	for _, one := range element.Each(err) {
		e.Details = append(e.Details, one.Error())
	}
	return e
}

// ready answers PathReady.
func (s *Server) ready(r *http.Request, _ url.Values) (any, error) {
	status, err := s.router.Status.Status(r.Context())
	if err != nil {
		return nil, err
	}
	if !status.Ready || len(status.Problems) > 0 {
		return nil, &api.Error{Status: http.StatusServiceUnavailable, Message: "the router is not ready", Details: status.Problems}
	}
	return api.Health{Healthy: true}, nil
}

// logLevel answers PathLog.
func (s *Server) logLevel(r *http.Request, _ url.Values) (any, error) {
	var req api.LogRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if err := s.router.Log.SetLogLevel(req.Level); err != nil {
		return nil, &api.Error{Status: http.StatusUnprocessableEntity, Message: err.Error()}
	}
	return struct{}{}, nil
}

// trace answers PathTrace.
func (s *Server) trace(r *http.Request, _ url.Values) (any, error) {
	var req api.TraceRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if len(req.Packet) > api.MaxPacket {
		return nil, bad("the packet has %d bytes; the largest has %d", len(req.Packet), api.MaxPacket)
	}
	for _, side := range []dataplane.Side{dataplane.SideIPv4, dataplane.SideIPv6} {
		if req.Side == side.String() {
			return s.router.Tracer.Trace(r.Context(), side, req.Packet)
		}
	}
	return nil, bad("side %.60q is neither ipv4 nor ipv6", req.Side)
}
