package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ErrInUse reports a socket on which another process listens.
var ErrInUse = errors.New("another process listens on it; is a router running already?")

// newSuffix is appended to the name under which the socket is made.
const newSuffix = ".new"

// Listen listens wherever c says: on the control socket first.
func Listen(ctx context.Context, c Config) ([]net.Listener, error) {
	var all []net.Listener
	if c.Socket != "" {
		l, err := ListenSocket(ctx, c)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	if c.Listen != nil {
		l, err := ListenTLS(ctx, *c.Listen)
		if err != nil {
			for _, open := range all {
				open.Close()
			}
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// ListenSocket makes the control socket of c and listens on it. A socket that
// nobody listens on any more is replaced. The socket is removed when the
// listener is closed, unless somebody else has put another in its place.
func ListenSocket(ctx context.Context, c Config) (net.Listener, error) {
	l, err := listenSocket(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", c.Socket, err)
	}
	return l, nil
}

func listenSocket(ctx context.Context, c Config) (net.Listener, error) {
	gid, err := groupID(c.Group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(c.Socket), 0o755); err != nil {
		return nil, err
	}
	if err := vacant(ctx, c.Socket); err != nil {
		return nil, err
	}
	// Made under another name and then renamed, so that there is no moment at
	// which it can be opened with other permissions than it should have.
	temporary := c.Socket + newSuffix
	if err := vacant(ctx, temporary); err != nil {
		return nil, err
	}
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", temporary)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	made, err := publish(temporary, c.Socket, gid)
	if err != nil {
		l.Close()
		os.Remove(temporary)
		return nil, err
	}
	return &listener{Listener: l, path: c.Socket, made: made}, nil
}

// publish gives the socket its permissions and then its name.
func publish(temporary, path string, gid int) (os.FileInfo, error) {
	if err := os.Chown(temporary, -1, gid); err != nil {
		return nil, err
	}
	if err := os.Chmod(temporary, 0o660); err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return nil, err
	}
	return os.Lstat(path)
}

// probeTimeout bounds how long a listener may take to accept a connection.
const probeTimeout = 2 * time.Second

// vacant makes sure that what is at path, if anything, is a socket on which
// nobody listens.
func vacant(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is not a socket; remove it or configure another path", path)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return ErrInUse
	}
	// Anything but a plain refusal may be a busy listener.
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	return nil
}

// groupID is the number of group; -1 for the process's own.
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if g, err := user.LookupGroup(group); err == nil {
		group = g.Gid
	}
	gid, err := strconv.ParseUint(group, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("there is no group %q", group)
	}
	return int(gid), nil
}

// listener removes its socket when it is closed.
type listener struct {
	net.Listener
	path string
	made os.FileInfo
}

// Close implements net.Listener.
func (l *listener) Close() error {
	// Removed first: a connection after this gets "no such file" and not one
	// that nobody will accept.
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
		os.Remove(l.path)
	}
	return l.Listener.Close()
}
