package control

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/control/stream"
)

// streaming answers a request for a stream of lease requests: with its own protocol,
// until the other end goes.
func (s *Server) streaming(r *http.Request, _ url.Values) (any, error) {
	if !strings.EqualFold(r.Header.Get("Connection"), "upgrade") || r.Header.Get("Upgrade") != stream.Protocol {
		return nil, &api.Error{Status: http.StatusUpgradeRequired, Message: "ask for an upgrade to " + stream.Protocol}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.streams <- struct{}{}:
			defer func() { <-s.streams }()
		default:
			s.fail(w, r, &api.Error{Status: http.StatusServiceUnavailable, Message: fmt.Sprintf("there are %d streams already", maxStreams)})
			return
		}
		conn, err := upgrade(w)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		serving := stream.Server{
			Leases: s.router.Lending.Leases, Admit: s.admit,
			Explain: func(err error) *api.Error { return s.explain(r.URL.Path, leaseError(err)) },
		}
		if err := serving.Serve(r.Context(), conn); err != nil {
			s.log.WithError(err).WithField("path", r.URL.Path).Warn("a stream of lease requests has ended")
		}
	}), nil
}

// upgrade takes the connection over from HTTP, and says so to the other end.
func upgrade(w http.ResponseWriter) (net.Conn, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	// Without the limits of a request.
	err = conn.SetDeadline(time.Time{})
	if err == nil {
		_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", stream.Protocol)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return upgraded{conn, buffered.Reader}, nil
}

// upgraded is a connection of which a part was read.
type upgraded struct {
	net.Conn
	from *bufio.Reader
}

// Read implements net.Conn.
func (u upgraded) Read(b []byte) (int, error) { return u.from.Read(b) }
