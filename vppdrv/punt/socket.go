package punt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse reports a socket that another process has open.
var ErrInUse = errors.New("another process has it open; is a router running already?")

// Socket is our end of VPP's punt socket. One goroutine receives; any number
// may send. It belongs to the VPP that was there when it was opened: it is
// connected, so that nobody else can send to it, and what it sends never reaches
// a VPP that was started since, in which a number may be that of another
// interface, or of none. The queue of a socket that is connected to the sender is
// bounded by the sender's buffer only: VPP's holds some 170 small packets, where
// most machines would let 11 wait (net.unix.max_dgram_qlen).
type Socket struct {
	conn *net.UnixConn
	buf  []byte
	turn chan struct{} // held while sending
}

// sendTimeout bounds the wait for VPP to take a packet: its queue is ten
// packets long on most machines (net.unix.max_dgram_qlen).
const sendTimeout = 200 * time.Millisecond

// maxDatagram is more than VPP punts: a packet in a chain of buffers has at
// most this many octets.
const maxDatagram = 1 << 16

// MaxPath is the longest path that VPP writes to, in octets.
const MaxPath = 107

// Listen opens the socket at path, to which VPP writes, for talking to VPP's
// at server, which has to be there. What an earlier process left at path is
// replaced. The error wraps ErrInUse if another one still has it open.
func Listen(path, server string) (*Socket, error) {
	conn, err := listen(path, server)
	if err != nil {
		return nil, fmt.Errorf("exception socket %s: %w", path, err)
	}
	return &Socket{conn: conn, buf: make([]byte, maxDatagram), turn: make(chan struct{}, 1)}, nil
}

func listen(path, server string) (*net.UnixConn, error) {
	if len(path) > MaxPath {
		return nil, fmt.Errorf("its path has %d octets, and VPP takes %d", len(path), MaxPath)
	}
	if err := vacate(path); err != nil {
		return nil, err
	}
	conn, err := net.DialUnix("unixgram", address(path), address(server))
	if err != nil {
		_ = os.Remove(path) // it may not be there yet
		return nil, fmt.Errorf(`is there "punt { socket %s }" in VPP's startup configuration? %w`, server, err)
	}
	// VPP may run as another user of our group.
	const groupMayWrite = 0o660
	if err := os.Chmod(path, groupMayWrite); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func address(path string) *net.UnixAddr { return &net.UnixAddr{Name: path, Net: "unixgram"} }

// vacate removes a socket that nobody has open.
func vacate(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("something else has that name; remove it or configure another path")
	}
	conn, err := net.DialUnix("unixgram", nil, address(path))
	if err == nil {
		return errors.Join(ErrInUse, conn.Close())
	}
	// A socket that is open, and connected to somebody else, says EPERM.
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	return os.Remove(path)
}

// Close closes the socket. Its file stays: it may be that of a successor already.
func (s *Socket) Close() error { return s.conn.Close() }

// Receive returns the next packet that VPP punted, and the number of the
// interface that it came from. The packet is valid until the next call. The
// error is the context's, or wraps ErrNoPacket, or ends the socket. It takes some
// 2.4 microseconds, of which recvmmsg(2) with 32 packets at once would save 0.3.
func (s *Socket) Receive(ctx context.Context) (index uint32, packet []byte, err error) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when closed
	})
	n, err := s.conn.Read(s.buf)
	if !stop() {
		// No later call is to find the deadline of this one.
		<-interrupted
		err = errors.Join(err, s.conn.SetReadDeadline(time.Time{}))
	}
	switch {
	case err == nil:
		return parse(s.buf[:n])
	case ctx.Err() != nil:
		return 0, nil, ctx.Err()
	}
	return 0, nil, fmt.Errorf("exception socket: %w", err)
}

// Send has VPP forward packet as if an interface had received it, but for a hop
// that it does not take off. The error wraps ErrNoPacket if it is no IP packet,
// and os.ErrDeadlineExceeded if VPP takes none.
func (s *Socket) Send(ctx context.Context, index uint32, packet []byte) error {
	datagram, err := frame(index, packet)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	deadline := time.Now().Add(sendTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := s.conn.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("sending by VPP: %w", err)
	}
	if _, err := s.conn.Write(datagram); err != nil {
		return fmt.Errorf("sending by VPP: %w", err)
	}
	return nil
}
