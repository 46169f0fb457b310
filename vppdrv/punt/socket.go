package punt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"
)

// Socket is our end of VPP's punt socket. One goroutine receives; any number
// may send.
type Socket struct {
	conn   *net.UnixConn
	server *net.UnixAddr
	buf    []byte
}

// sendTimeout bounds the wait for VPP to take a packet: its queue is ten
// packets long on most machines (net.unix.max_dgram_qlen).
const sendTimeout = 200 * time.Millisecond

// maxDatagram is more than VPP punts: a packet in a chain of buffers has at
// most this many octets.
const maxDatagram = 1 << 16

// Listen opens the socket at path, to which VPP writes, for talking to VPP's
// at server. A file that an earlier process left there is replaced.
func Listen(path, server string) (*Socket, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("exception socket: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("exception socket: %w", err)
	}
	// VPP may run as another user of our group.
	const groupMayWrite = 0o660
	if err := os.Chmod(path, groupMayWrite); err != nil {
		_ = conn.Close() // the first error counts
		return nil, fmt.Errorf("exception socket: %w", err)
	}
	return &Socket{conn: conn, server: &net.UnixAddr{Name: server, Net: "unixgram"}, buf: make([]byte, maxDatagram)}, nil
}

// Close closes the socket and removes its file.
func (s *Socket) Close() error { return s.conn.Close() }

// Receive returns the next packet that VPP punted, and the number of the
// interface that it came from. The packet is valid until the next call. The
// error is the context's, or wraps ErrNoPacket, or ends the socket.
func (s *Socket) Receive(ctx context.Context) (index uint32, packet []byte, err error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }) // fails only when closed
	defer stop()
	for {
		n, err := s.conn.Read(s.buf)
		switch {
		case err == nil:
			return parse(s.buf[:n])
		case ctx.Err() != nil:
			return 0, nil, ctx.Err()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, nil, fmt.Errorf("exception socket: %w", err)
		}
		// The deadline is that of an earlier call.
		if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
			return 0, nil, fmt.Errorf("exception socket: %w", err)
		}
	}
}

// Send has VPP forward packet as if an interface had received it, but for a hop
// that it does not take off. The error wraps ErrNoPacket if it is no IP packet.
func (s *Socket) Send(ctx context.Context, index uint32, packet []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	datagram, err := frame(index, packet)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(sendTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := s.conn.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("sending by VPP: %w", err)
	}
	if _, err := s.conn.WriteToUnix(datagram, s.server); err != nil {
		return fmt.Errorf("sending by VPP: %w", err)
	}
	return nil
}
