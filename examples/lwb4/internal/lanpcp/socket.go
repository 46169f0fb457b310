package lanpcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Socket is where hosts ask.
type Socket struct {
	conn *net.UDPConn
	log  logrus.FieldLogger
	// Requests are those that are to be answered, for whoever has the Table.
	Requests chan Request
	limits   limits
}

// Request is one request of a host.
type Request struct {
	From    netip.AddrPort
	Payload []byte
}

// Listen opens a socket on the CPE's address in the LAN, in the network namespace of
// the calling thread.
func Listen(iface string, lan netip.Prefix, log logrus.FieldLogger) (*Socket, error) {
	address, err := gateway(iface, lan)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, pcpmsg.ServerPort)))
	if err != nil {
		return nil, fmt.Errorf("PCP for the LAN: %w", err)
	}
	return &Socket{conn: conn, log: log, Requests: make(chan Request), limits: newLimits()}, nil
}

// gateway is the address of an interface in a prefix.
func gateway(iface string, lan netip.Prefix) (netip.Addr, error) {
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", iface, err)
	}
	all, err := i.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", iface, err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && lan.Contains(p.Addr()) {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("interface %s has no address in %s", iface, lan)
}

// Run reads requests until ctx ends, and then closes the socket and returns nil. What
// a host asks too often is dropped (RFC 6887 section 8.2), which is logged from time to
// time.
func (s *Socket) Run(ctx context.Context) error {
	var complained time.Time
	dropped := 0
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	defer s.conn.Close()
	buf := make([]byte, 2*pcpmsg.MaxLength)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("PCP for the LAN: %w", err)
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if now := time.Now(); !s.limits.allow(now, from.Addr()) {
			if dropped++; now.Sub(complained) >= complainInterval {
				s.log.WithFields(logrus.Fields{"host": from.Addr().String(), "dropped": dropped}).Warn("a host asks by PCP too often")
				complained, dropped = now, 0
			}
			continue
		}
		select {
		case s.Requests <- Request{from, append([]byte(nil), buf[:n]...)}:
		case <-ctx.Done():
			return nil
		}
	}
}

// complainInterval is the least time between two complaints about hosts.
const complainInterval = time.Minute

// Send sends a message to a host.
func (s *Socket) Send(to netip.AddrPort, payload []byte) error {
	_, err := s.conn.WriteToUDPAddrPort(payload, to)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Limits in requests per second. Each request may change the NAT's rules.
const (
	perHost = 10
	perLAN  = 50
	// maxHosts bounds how many hosts are told apart.
	maxHosts = 1024
)

type limits struct {
	lan   *rate.Limiter
	hosts map[netip.Addr]*rate.Limiter
}

func newLimits() limits {
	return limits{rate.NewLimiter(perLAN, 2*perLAN), map[netip.Addr]*rate.Limiter{}}
}

// allow says whether a host may ask now. One that floods does not use up what all may
// ask.
func (l *limits) allow(now time.Time, host netip.Addr) bool {
	h := l.hosts[host]
	if h == nil {
		if len(l.hosts) >= maxHosts {
			clear(l.hosts)
		}
		h = rate.NewLimiter(perHost, 2*perHost)
		l.hosts[host] = h
	}
	return h.AllowN(now, 1) && l.lan.AllowN(now, 1)
}
