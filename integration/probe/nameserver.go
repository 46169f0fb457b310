package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// NameServer answers questions for IPv6 addresses by DNS over UDP.
type NameServer struct {
	// Names are fully qualified, with their last dot. Others do not exist.
	Names map[string]netip.Addr
	conn  net.PacketConn
}

// OpenNameServer opens a name server on a node's address.
func OpenNameServer(n Node, address netip.Addr, names map[string]netip.Addr) (*NameServer, error) {
	s := &NameServer{Names: names}
	err := n.Do(func() (err error) {
		s.conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 53)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("name server on %s: %w", address, err)
	}
	return s, nil
}

// Run answers until ctx ends, and then closes the socket and returns nil.
func (s *NameServer) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	defer s.conn.Close()
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		if answer, err := s.answer(buf[:n]); err == nil {
			_, _ = s.conn.WriteTo(answer, from) // who gets none asks again
		}
	}
}

func (s *NameServer) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	q := m.Questions[0]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true}
	m.Additionals = nil
	address, ok := s.Names[q.Name.String()]
	switch {
	case !ok:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeAAAA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AAAAResource{AAAA: address.As16()},
		}}
	}
	return m.Pack()
}
