package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
)

// life is one child, from its start to its end.
type life struct {
	client *rpc.Client
	cmd    *exec.Cmd
	disk   *disk.Disk
	stderr *firstWords
	served sync.WaitGroup // its calls to the data plane
}

// start starts a child.
func start(binary string, s settings, d *disk.Disk, p *Plane) (*life, error) {
	ours, theirs, err := sockets(2)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	l := &life{cmd: exec.Command(binary), disk: d, stderr: &firstWords{}}
	l.cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	l.cmd.ExtraFiles, l.cmd.Stderr = theirs, l.stderr
	err = d.Start(l.cmd)
	for _, f := range theirs[:2] {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, errors.Join(err, ours[0].Close(), ours[1].Close())
	}
	l.client = rpc.NewClient(ours[0])
	server := rpc.NewServer()
	if err := server.RegisterName(planeService, p); err != nil {
		return nil, err
	}
	l.served.Go(func() { server.ServeConn(ours[1]) })
	return l, nil
}

// sockets makes connections between this process and a child.
func sockets(n int) (ours []net.Conn, theirs []*os.File, err error) {
	for range n {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, nil, err
		}
		f := os.NewFile(uintptr(pair[0]), "child")
		c, err := net.FileConn(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, nil, err
		}
		ours, theirs = append(ours, c), append(theirs, os.NewFile(uintptr(pair[1]), "parent"))
	}
	return ours, theirs, nil
}

// patience is how long a child may take for what takes milliseconds.
const patience = 30 * time.Second

// errGone reports that the child does not answer any more.
var errGone = errors.New("the child is gone")

// call asks the child. The error wraps errGone.
func (l *life) call(ctx context.Context, method string, args, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := l.client.Go(routerService+"."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-c.Done:
		if c.Error != nil {
			return fmt.Errorf("%w: %w", errGone, c.Error)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// until waits until the child's state is as wanted.
func (l *life) until(ctx context.Context, wanted func(State) bool) error {
	for {
		var s State // a new one, since zero values are not sent
		if err := l.call(ctx, "State", Nothing{}, &s); err != nil {
			return err
		}
		if wanted(s) {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the child is in state %+v: %w", s, ctx.Err())
		}
	}
}

// kill kills the child, if it still runs. It may be called more than once.
func (l *life) kill() { _ = l.cmd.Process.Kill() }

// end kills the child and waits until nothing is left of it.
func (l *life) end() error {
	l.kill()
	_ = l.cmd.Wait() // it was killed, or what it said is in stderr
	err := errors.Join(l.disk.Wait(), l.client.Close())
	l.served.Wait()
	if errors.Is(err, rpc.ErrShutdown) {
		err = nil
	}
	return err
}

// firstWords keeps what a child said first.
type firstWords struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write keeps a few lines.
func (t *firstWords) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text.Len() < 4096 {
		t.text.Write(b)
	}
	return len(b), nil
}

func (t *firstWords) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.text.String())
}
