package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// ICMP types.
const (
	echoReply    = 0
	unreachable  = 3
	echoRequest  = 8
	timeExceeded = 11
)

// listenICMP opens a socket that receives all ICMP of a node.
func listenICMP(n Node) (*net.IPConn, error) {
	var conn *net.IPConn
	err := n.Do(func() (err error) {
		conn, err = net.ListenIP("ip4:icmp", nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("icmp socket: %w", err)
	}
	return conn, nil
}

// message is one received ICMP message.
type message struct {
	from    netip.Addr
	payload []byte // from the ICMP header on
}

// receiveICMP blocks for a message that match accepts.
func receiveICMP(ctx context.Context, conn *net.IPConn, match func(message) bool) (message, error) {
	defer until(ctx, conn)()
	buf := make([]byte, 1<<16)
	for {
		size, from, err := conn.ReadFromIP(buf)
		if err != nil {
			return message{}, cause(ctx, fmt.Errorf("icmp socket: %w", err))
		}
		addr, _ := netip.AddrFromSlice(from.IP.To4())
		if m := (message{addr, buf[:size]}); size >= 8 && match(m) {
			return m, nil
		}
	}
}

// Pings is what came of some echo requests.
type Pings struct {
	Sent, Received int
	Mean           time.Duration // round-trip time
}

// String is "5 of 5 answered, 0.4 ms".
func (p Pings) String() string {
	return fmt.Sprintf("%d of %d answered, %.2f ms", p.Received, p.Sent, p.Mean.Seconds()*1e3)
}

// Ping sends count echo requests with size octets of data, one after another,
// and waits up to a second for each answer.
func Ping(ctx context.Context, n Node, to netip.Addr, count, size int) (Pings, error) {
	conn, err := listenICMP(n)
	if err != nil {
		return Pings{}, err
	}
	defer conn.Close()
	var p Pings
	var total time.Duration
	identifier := uint16(rand.Uint32())
	for sequence := range uint16(count) {
		rtt, err := pingOnce(ctx, conn, to, identifier, sequence, size)
		p.Sent++
		switch {
		case err == nil:
			p.Received++
			total += rtt
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return p, fmt.Errorf("ping %s: %w", to, err)
		}
	}
	p.Mean = total / time.Duration(max(p.Received, 1))
	return p, nil
}

func pingOnce(ctx context.Context, conn *net.IPConn, to netip.Addr, identifier, sequence uint16, size int) (time.Duration, error) {
	request := make([]byte, 8+size)
	request[0] = echoRequest
	binary.BigEndian.PutUint16(request[4:], identifier)
	binary.BigEndian.PutUint16(request[6:], sequence)
	binary.BigEndian.PutUint16(request[2:], checksum.Of(request))
	begin := time.Now()
	if _, err := conn.WriteToIP(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return 0, err
	}
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := receiveICMP(wait, conn, func(m message) bool {
		return m.from == to && m.payload[0] == echoReply && len(m.payload) == len(request) &&
			binary.BigEndian.Uint16(m.payload[4:]) == identifier && binary.BigEndian.Uint16(m.payload[6:]) == sequence
	})
	return time.Since(begin), err
}

// Hop is one line of a traceroute. From is not valid if nobody answered.
type Hop struct {
	TTL  int
	From netip.Addr
}

// String is the address, or "*".
func (h Hop) String() string {
	if !h.From.IsValid() {
		return "*"
	}
	return h.From.String()
}

// tracePort is the first destination port of a traceroute; the TTL is added.
const tracePort = 33434

// Traceroute finds the routers on the way to an address, with UDP like the
// classic tool, until the address itself answers or most hops were tried. Each
// hop has a second to answer.
func Traceroute(ctx context.Context, n Node, to netip.Addr, most int) ([]Hop, error) {
	icmp, err := listenICMP(n)
	if err != nil {
		return nil, err
	}
	defer icmp.Close()
	probe, err := OpenDatagram(n, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	var hops []Hop
	for ttl := 1; ttl <= most; ttl++ {
		m, err := traceHop(ctx, icmp, probe, to, ttl)
		if err != nil && (!errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil) {
			return hops, fmt.Errorf("traceroute %s: %w", to, err)
		}
		hops = append(hops, Hop{ttl, m.from})
		if err == nil && m.payload[0] == unreachable {
			break
		}
	}
	return hops, nil
}

func traceHop(ctx context.Context, icmp *net.IPConn, probe *Datagram, to netip.Addr, ttl int) (message, error) {
	if err := setOption(probe.conn, unix.IP_TTL, ttl); err != nil {
		return message{}, err
	}
	port := uint16(tracePort + ttl)
	if err := probe.Send(netip.AddrPortFrom(to, port), 0, make([]byte, 32)); err != nil {
		return message{}, err
	}
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return receiveICMP(wait, icmp, func(m message) bool {
		if m.payload[0] != timeExceeded && m.payload[0] != unreachable {
			return false
		}
		about := m.payload[8:]
		return len(about) >= 28 && about[0] == 0x45 && about[9] == unix.IPPROTO_UDP &&
			netip.AddrFrom4([4]byte(about[16:])) == to &&
			binary.BigEndian.Uint16(about[20:]) == probe.Local().Port() &&
			binary.BigEndian.Uint16(about[22:]) == port
	})
}
