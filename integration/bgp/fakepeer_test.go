package bgp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Types of messages (RFC 4271 section 4.1).
const (
	typeOpen         = 1
	typeUpdate       = 2
	typeNotification = 3
	typeKeepalive    = 4
)

// message is one of BGP.
func message(kind byte, body []byte) []byte {
	m := bytes.Repeat([]byte{0xff}, 16)
	m = binary.BigEndian.AppendUint16(m, uint16(19+len(body)))
	return append(append(m, kind), body...)
}

// openMessage is an OPEN of AS 64501 with capabilities.
func openMessage(capabilities ...byte) []byte {
	body := []byte{4, 0, 0, 0, 90, 198, 51, 100, 77, 0}
	binary.BigEndian.PutUint16(body[1:], 64501)
	if len(capabilities) > 0 {
		body[9] = byte(len(capabilities) + 2)
		body = append(body, 2, byte(len(capabilities)))
	}
	return message(typeOpen, append(body, capabilities...))
}

// Capabilities that the fake peers announce.
func capabilities() (ipv4, as4 []byte) {
	return []byte{1, 4, 0, 1, 0, 1}, []byte{65, 4, 0, 0, 0xfb, 0xf5}
}

// attribute is a path attribute.
func attr(flags, kind byte, value ...byte) []byte {
	return append([]byte{flags | 0x10, kind, byte(len(value) >> 8), byte(len(value))}, value...)
}

// update is an UPDATE.
func update(withdrawn, attributes, nlri []byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(withdrawn)))
	body = append(body, withdrawn...)
	body = binary.BigEndian.AppendUint16(body, uint16(len(attributes)))
	return message(typeUpdate, slices.Concat(body, attributes, nlri))
}

// usual are the attributes that every IPv4 route has: ORIGIN, AS_PATH with four
// octets for an AS, NEXT_HOP.
func usual() []byte {
	return slices.Concat(attr(0x40, 1, 0), attr(0x40, 2, 2, 1, 0, 0, 0xfb, 0xf5), attr(0x40, 3, 198, 51, 100, 77))
}

// nlri is 10.0.0.0/24.
func nlri() []byte { return []byte{24, 10, 0, 0} }

// readMessage reads the next message.
func readMessage(conn net.Conn) (kind byte, body []byte, err error) {
	var head [19]byte
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint16(head[16:])
	if size < 19 {
		return 0, nil, fmt.Errorf("a message of %d octets", size)
	}
	body = make([]byte, size-19)
	_, err = io.ReadFull(conn, body)
	return head[18], body, err
}

// handshake makes a session on conn.
func handshake(conn net.Conn, open []byte) error {
	if err := expect(conn, typeOpen); err != nil {
		return err
	}
	return confirm(conn, open)
}

// confirm is the rest of a handshake for who has read the OPEN.
func confirm(conn net.Conn, open []byte) error {
	if _, err := conn.Write(slices.Concat(open, message(typeKeepalive, nil))); err != nil {
		return err
	}
	return expect(conn, typeKeepalive)
}

// expect reads a message of a type.
func expect(conn net.Conn, want byte) error {
	kind, body, err := readMessage(conn)
	if err == nil && kind != want {
		err = fmt.Errorf("message %d in place of %d: %x", kind, want, body)
	}
	return err
}

// honest is a session with a peer that does everything right, until it has got
// the route to 192.0.2.0/24.
func honest(conn net.Conn) error {
	ipv4, as4 := capabilities()
	if err := handshake(conn, openMessage(slices.Concat(ipv4, as4)...)); err != nil {
		return err
	}
	return untilRoute(conn)
}

// untilRoute reads until there is a route to 192.0.2.0/24. It sends the
// End-of-RIB of IPv4.
func untilRoute(conn net.Conn) error {
	if _, err := conn.Write(update(nil, nil, nil)); err != nil {
		return err
	}
	for {
		kind, body, err := readMessage(conn)
		switch {
		case err != nil:
			return err
		case kind == typeNotification:
			return fmt.Errorf("NOTIFICATION %d", body)
		case kind == typeUpdate && bytes.HasSuffix(body, []byte{24, 192, 0, 2}):
			return nil
		}
	}
}

// linger reads until the other side hangs up, or has had the time to.
func linger(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, conn) // however it ends
	return nil
}
