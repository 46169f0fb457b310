// Package status owns how a CPE says what it is doing: a value, and a unix socket that
// gives it as JSON to whoever connects.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Status is a CPE at one time. Counters count from its start, those of the tunnel from
// the tunnel's.
type Status struct {
	Source string `json:"source"` // who says what the softwire is
	// State is up, asking (connected, without ports) or waiting (for an lwAFTR).
	State string     `json:"state"`
	LwB4  netip.Addr `json:"b4-ipv6-addr,omitzero"`
	BR    netip.Addr `json:"br-ipv6-addr,omitzero"`
	IPv4  netip.Addr `json:"ipv4-addr,omitzero"`
	Sets  []PortSet  `json:"port-sets,omitempty"`
	Until time.Time  `json:"until,omitzero"` // of the port sets; absent is for ever
	Error string     `json:"error,omitempty"`
	Flows int        `json:"flows"` // that are translated
	NAT   Counts     `json:"nat"`
	// In is from the lwAFTR and Out from the LAN, in packets by what became of them.
	In       map[string]uint64 `json:"in,omitempty"`
	Out      map[string]uint64 `json:"out,omitempty"`
	Mappings []Mapping         `json:"mappings,omitempty"`
}

// PortSet is one port set.
type PortSet struct {
	Set    string `json:"psid"` // psid-offset/psid-len/PSID
	Ports  int    `json:"ports"`
	InUse  int    `json:"in-use"` // by the protocol that uses the most
	Closed bool   `json:"closed"` // gets no new flows
}

// Counts is what the NAT did not let through, in packets.
type Counts struct {
	Dropped    uint64 `json:"dropped"`
	Exhausted  uint64 `json:"exhausted"`
	Unassigned uint64 `json:"unassigned"`
}

// Mapping is a port that a host of the LAN asked for.
type Mapping struct {
	Protocol string         `json:"protocol"`
	Host     netip.AddrPort `json:"host"`
	Port     uint16         `json:"port"` // of the IPv4 address
	Peer     netip.AddrPort `json:"peer,omitzero"`
}

// Server is the socket.
type Server struct {
	listener *net.UnixListener
	ask      func(ctx context.Context) (Status, error)
}

// patience bounds how long a connection may take.
const patience = 5 * time.Second

// Listen opens the socket at a path, in place of one that nobody listens on. ask
// returns the status. The caller closes the server if it does not run it.
func Listen(path string, ask func(ctx context.Context) (Status, error)) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("status: another program listens on %s", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("status: %w", err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return &Server{listener: l, ask: ask}, nil
}

// maxConnections bounds who is served at a time.
const maxConnections = 8

// Run serves until ctx ends, and then removes the socket and returns nil.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	var group errgroup.Group
	group.SetLimit(maxConnections)
	defer func() { _ = group.Wait() }() // never fails
	for {
		conn, err := s.listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("status: %w", err)
		}
		group.Go(func() error {
			s.serve(ctx, conn)
			return nil
		})
	}
}

func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if status, err := s.ask(ctx); err == nil {
		_ = json.NewEncoder(conn).Encode(status) // who has gone does not mind
	}
}

// ErrNotRunning reports that there is no CPE to ask.
var ErrNotRunning = errors.New("no lwb4 listens there; is it running, with status.socket set to that path?")

// maxStatus bounds what is read, in octets.
const maxStatus = 4 << 20

// Read asks the CPE whose socket is at a path. The error wraps ErrNotRunning if there is
// none.
func Read(ctx context.Context, path string) (Status, error) {
	var s Status
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return s, fmt.Errorf("%s: %w: %w", path, ErrNotRunning, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return s, err
	}
	b, err := io.ReadAll(io.LimitReader(conn, maxStatus))
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: not a status: %w", path, err)
	}
	return s, nil
}
