package bgp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// process is a speaker as its router sees it.
type process struct {
	cmd    *exec.Cmd
	conn   net.Conn
	errors tail
}

// Times that a speaker is given.
const (
	sendLimit = 3 * time.Second // to take an order
	endLimit  = 3 * time.Second // to end when it is told to
)

// start starts a speaker.
func start(program feed.Program) (*process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "speaker"), os.NewFile(uintptr(pair[1]), "router")
	defer func() { _ = errors.Join(ours.Close(), theirs.Close()) }() // copies are in use
	p := &process{cmd: exec.Command(program.Path)}
	if p.conn, err = net.FileConn(ours); err != nil {
		return nil, err
	}
	p.cmd.Args = program.Args
	// Go makes listeners those of Multipath TCP, which has neither MD5 nor GTSM.
	p.cmd.Env = []string{feed.Handshake, "GODEBUG=multipathtcp=0"}
	p.cmd.ExtraFiles = []*os.File{theirs} // the first one becomes feed.Descriptor
	p.cmd.Stderr = &p.errors
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, p.conn.Close())
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// send gives the speaker an order.
func (p *process) send(o *feed.Order) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(sendLimit)); err != nil {
		return err
	}
	return feed.Write(p.conn, o)
}

// listen hands on reports until there are no more, or none for too long, or hangUp.
func (p *process) listen(hear func(feed.Report)) error {
	for {
		if err := p.conn.SetReadDeadline(time.Now().Add(feed.Silence)); err != nil {
			return err
		}
		var r feed.Report
		switch err := feed.Read(p.conn, &r); {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("it is silent for %s", feed.Silence)
		case err != nil:
			return err
		}
		hear(r)
	}
}

// hangUp has the speaker end.
func (p *process) hangUp() {
	_ = p.conn.Close() // nothing waits to be written
}

// wait returns when the speaker has ended, with what it said of its end. It is
// killed if it does not.
func (p *process) wait() error {
	late := time.AfterFunc(endLimit, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the speaker: %w: %s", err, p.errors.first())
	}
	return nil
}

// tail keeps what a speaker writes to its standard error, as far as it fits.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const maxTail = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b[:min(len(b), maxTail-len(t.kept))]...)
	return len(b), nil
}

// first is the first line, which says why a Go program panics.
func (t *tail) first() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line, _, _ := strings.Cut(string(t.kept), "\n")
	return strings.ToValidUTF8(line, "?")
}
