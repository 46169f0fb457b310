package stats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// memory is what VPP counts in.
type memory struct {
	*os.File
	size     uint64 // octets
	identity uint64 // differs from that of every other VPP since the machine started
}

// attempts is how often VPP is asked that hangs up without an answer: of some
// ten thousand times a busy one does so once.
const attempts = 3

// fetch asks VPP for its memory. The caller closes it.
func fetch(ctx context.Context, path string) (m *memory, err error) {
	for range attempts {
		if m, err = ask(ctx, path); !errors.Is(err, io.EOF) {
			break
		}
	}
	return m, err
}

func ask(ctx context.Context, path string) (*memory, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unixpacket", path)
	if errors.Is(err, unix.EAGAIN) {
		// Connections wait that VPP did not accept.
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if err != nil {
		return nil, fmt.Errorf(`VPP's stats socket: %w: is there "statseg { socket-name %s }" in its startup configuration?`, err, path)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // fails only when closed
	defer stop()
	file, err := receive(conn.(*net.UnixConn))
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err())
		}
		return nil, fmt.Errorf("VPP's stats socket %s: %w", path, err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	m := &memory{File: file, size: uint64(info.Size())}
	if status, ok := info.Sys().(*syscall.Stat_t); ok {
		// Anonymous memory has a number of its own.
		m.identity = status.Ino
	}
	return m, nil
}

// receive receives one descriptor. The message with it is empty.
func receive(conn *net.UnixConn) (*os.File, error) {
	const most = 4 // more than VPP sends, so that none of them would be lost
	control := make([]byte, unix.CmsgSpace(4*most))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), control)
	if n == 0 {
		return nil, cmp.Or(err, io.EOF)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSegment, err)
	}
	var files []*os.File
	for _, m := range messages {
		rights, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // something else that comes with a message
		}
		for _, fd := range rights {
			files = append(files, os.NewFile(uintptr(fd), "VPP's counters"))
		}
	}
	if len(files) == 1 {
		return files[0], nil
	}
	for _, f := range files {
		_ = f.Close() // nothing was written
	}
	return nil, fmt.Errorf("%w: %d descriptors", ErrSegment, len(files))
}
