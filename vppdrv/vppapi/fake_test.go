package vppapi

import (
	"bufio"
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/binapi/vpe"
	"go.fd.io/govpp/codec"
)

// fake is the other end of an API socket.
type fake struct {
	t      *testing.T
	path   string
	socket *net.UnixConn
	reader *bufio.Reader
	ready  chan struct{} // closed when a client has registered
}

// known are the messages that a fake knows; their numbers count from base.
var known = []api.Message{
	&memclnt.ControlPing{}, &memclnt.ControlPingReply{}, &vpe.ShowVersion{}, &vpe.ShowVersionReply{},
}

const base = 100

func number(m api.Message) uint16 {
	for i, k := range known {
		if k.GetMessageName() == m.GetMessageName() {
			return uint16(base + i)
		}
	}
	return 0
}

// newFake listens, and registers the first client.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, path: filepath.Join(t.TempDir(), "s"), ready: make(chan struct{})}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.path})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if f.socket, err = listener.AcceptUnix(); err == nil {
			f.reader = bufio.NewReader(f.socket)
			err = f.register()
		}
		if err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("fake VPP: %v", err)
		}
		close(f.ready)
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		if f.socket != nil {
			f.socket.Close()
		}
	})
	return f
}

func (f *fake) register() error {
	request, err := readFrame(f.reader)
	if err != nil {
		return err
	}
	if replyNumber(request) != createNumber {
		f.t.Errorf("first message has number %d", replyNumber(request))
	}
	reply := memclnt.SockclntCreateReply{Index: 7}
	for _, m := range known {
		reply.MessageTable = append(reply.MessageTable, memclnt.MessageTableEntry{Index: number(m), Name: fullName(m)})
	}
	return f.write(&reply, 1, 0)
}

// request returns the number and the context of the next request.
func (f *fake) request() (uint16, uint32) {
	f.t.Helper()
	m, err := readFrame(f.reader)
	if err != nil {
		f.t.Fatalf("fake VPP: %v", err)
	}
	return replyNumber(m), uint32(m[6])<<24 | uint32(m[7])<<16 | uint32(m[8])<<8 | uint32(m[9])
}

// reply answers a context.
func (f *fake) reply(m api.Message, context uint32) {
	f.t.Helper()
	if err := f.write(m, number(m), context); err != nil {
		f.t.Fatalf("fake VPP: %v", err)
	}
}

func (f *fake) write(m api.Message, number uint16, context uint32) error {
	b, err := codec.EncodeMsg(m, number)
	if err != nil {
		return err
	}
	b[2], b[3], b[4], b[5] = byte(context>>24), byte(context>>16), byte(context>>8), byte(context)
	_, err = f.socket.Write(frame(b))
	return err
}

// dial returns a connection to the fake that runs as long as the test.
func (f *fake) dial() (*Conn, <-chan error) {
	f.t.Helper()
	c, err := Dial(f.t.Context(), f.path, "test")
	if err != nil {
		f.t.Fatal(err)
	}
	<-f.ready
	ended := make(chan error, 1)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		ended <- c.Run(ctx)
	}()
	f.t.Cleanup(func() {
		cancel()
		<-done
	})
	return c, ended
}
