package vppapi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.fd.io/govpp/api"
	maps "go.fd.io/govpp/binapi/map"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/binapi/vpe"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pings sends a ping in the background.
func pings(ctx context.Context, c *Conn) <-chan error {
	result := make(chan error, 1)
	go func() {
		var reply memclnt.ControlPingReply
		err := c.Invoke(ctx, &memclnt.ControlPing{}, &reply)
		if err == nil && reply.VpePID != 42 {
			err = fmt.Errorf("pid %d", reply.VpePID)
		}
		result <- err
	}()
	return result
}

func TestInvoke(t *testing.T) {
	f := newFake(t)
	c, _ := f.dial()
	for range 3 {
		result := pings(t.Context(), c)
		n, context := f.request()
		if n != number(&memclnt.ControlPing{}) || context == 0 {
			t.Errorf("request number %d, context %d", n, context)
		}
		f.reply(&memclnt.ControlPingReply{VpePID: 42}, context)
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}

// TestAnswersInAnyOrder: contexts tell calls apart.
func TestAnswersInAnyOrder(t *testing.T) {
	f := newFake(t)
	c, _ := f.dial()
	const calls = 20
	results := make(map[uint32]<-chan error)
	var order []uint32
	for range calls {
		result := pings(t.Context(), c)
		_, context := f.request()
		results[context], order = result, append(order, context)
	}
	for _, context := range slices.Backward(order) {
		f.reply(&memclnt.ControlPingReply{VpePID: 42}, context)
		if err := <-results[context]; err != nil {
			t.Error(err)
		}
	}
}

// lapsing is a context whose deadline passes when done is closed.
type lapsing struct {
	context.Context
	done chan struct{}
}

func (l lapsing) Done() <-chan struct{} { return l.done }

func (l lapsing) Err() error {
	select {
	case <-l.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestLateAnswer: it is nobody's.
func TestLateAnswer(t *testing.T) {
	f := newFake(t)
	c, _ := f.dial()
	ctx := lapsing{Context: t.Context(), done: make(chan struct{})}
	late := pings(ctx, c)
	_, first := f.request()
	close(ctx.done)
	if err := <-late; !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without an answer: %v", err)
	}
	next := pings(t.Context(), c)
	_, second := f.request()
	f.reply(&memclnt.ControlPingReply{VpePID: 1}, first)
	f.reply(&memclnt.ControlPingReply{VpePID: 42}, second)
	if err := <-next; err != nil {
		t.Error(err)
	}
	if len(c.streams) != 0 {
		t.Errorf("%d streams are left", len(c.streams))
	}
}

func TestNoAnswerWithoutDeadline(t *testing.T) {
	f := newFake(t)
	c, _ := f.dial()
	c.answer = time.Millisecond
	if err := <-pings(t.Context(), c); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("without an answer: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	f := newFake(t)
	c, _ := f.dial()
	ctx, cancel := context.WithCancel(t.Context())
	result := pings(ctx, c)
	f.request()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoAnswer) {
		t.Errorf("cancelled: %v", err)
	}
	if err := <-pings(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// TestVPPEnds: calls that wait and later ones fail at once.
func TestVPPEnds(t *testing.T) {
	f := newFake(t)
	c, ended := f.dial()
	result := pings(t.Context(), c)
	f.request()
	f.socket.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) || !errors.Is(err, io.EOF) {
		t.Errorf("Run: %v", err)
	}
	<-c.Ended()
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("the call that waited: %v", err)
	}
	if err := <-pings(t.Context(), c); !errors.Is(err, ErrClosed) {
		t.Errorf("a later call: %v", err)
	}
}

// TestVPPTakesNothing: a VPP that does not read its socket ends the connection,
// not the program.
func TestVPPTakesNothing(t *testing.T) {
	f := newFake(t)
	c, ended := f.dial()
	c.write = 10 * time.Millisecond
	stream, err := c.NewStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 1 << 20 {
		if err = stream.SendMsg(&memclnt.ControlPing{}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrClosed) {
		t.Fatalf("SendMsg: %v", err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("Run: %v", err)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	f := newFake(t)
	c, err := Dial(t.Context(), f.path, "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestGarbage(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"length below a header": frame([]byte{0, 1}),
		"huge length":           binary.BigEndian.AppendUint64(make([]byte, 8), 0xffffffff<<32),
	} {
		f := newFake(t)
		_, ended := f.dial()
		if _, err := f.socket.Write(bytes); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: Run: %v", name, err)
		}
	}
}

func TestWrongReply(t *testing.T) {
	f := newFake(t)
	c, _ := f.dial()
	for name, reply := range map[string]api.Message{
		"another message": &vpe.ShowVersionReply{}, "the request": &memclnt.ControlPing{},
	} {
		result := pings(t.Context(), c)
		_, context := f.request()
		f.reply(reply, context)
		if err := <-result; !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The connection is none the worse for it.
	result := pings(t.Context(), c)
	_, context := f.request()
	f.reply(&memclnt.ControlPingReply{VpePID: 42}, context)
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestIncompatible(t *testing.T) {
	f := newFake(t)
	c, _ := f.dial()
	if err := c.Check(known...); err != nil {
		t.Errorf("Check of known messages: %v", err)
	}
	err := c.Check(&memclnt.ControlPing{}, &maps.MapAddDomain{}, &maps.MapAddDelRule{})
	var incompatible *IncompatibleError
	if !errors.As(err, &incompatible) || !slices.Equal(incompatible.Plugins, []string{"map"}) || len(incompatible.Messages) > 0 ||
		!strings.Contains(err.Error(), "map_plugin.so") {
		t.Errorf("Check without a plugin: %v", err)
	}
	err = c.Check(&memclnt.ControlPing{}, &memclnt.APIVersions{}, &memclnt.MemclntDelete{}, &memclnt.APIVersions{})
	if !errors.As(err, &incompatible) || !slices.Equal(incompatible.Messages, []string{"api_versions", "memclnt_delete"}) || len(incompatible.Plugins) > 0 ||
		!strings.Contains(err.Error(), "25.06") {
		t.Errorf("Check with an old VPP: %v", err)
	}
	if err := c.Invoke(t.Context(), &maps.MapAddDomain{}, &maps.MapAddDomainReply{}); !errors.As(err, &incompatible) {
		t.Errorf("Invoke: %v", err)
	}
}

// TestStream: a generated client reads a list and its end.
func TestStream(t *testing.T) {
	f := newFake(t)
	c, _ := f.dial()
	stream, err := c.NewStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var group sync.WaitGroup
	const many = 3 * waiting
	group.Go(func() {
		for range many {
			if err := stream.SendMsg(&vpe.ShowVersion{}); err != nil {
				t.Errorf("SendMsg: %v", err)
			}
		}
	})
	group.Go(func() {
		for i := range many {
			_, context := f.request()
			f.reply(&vpe.ShowVersionReply{Version: fmt.Sprint(i)}, context)
		}
	})
	for i := range many {
		m, err := stream.RecvMsg()
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := m.(*vpe.ShowVersionReply); !ok || v.Version != fmt.Sprint(i) {
			t.Fatalf("message %d: %#v", i, m)
		}
	}
	group.Wait()
	if err := stream.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := stream.RecvMsg(); err == nil {
		t.Error("a closed stream yields messages")
	}
}

func TestDialFails(t *testing.T) {
	if _, err := Dial(t.Context(), filepath.Join(t.TempDir(), "none"), "test"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Dial without a socket: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	f := newFake(t)
	<-ctx.Done()
	if _, err := Dial(ctx, f.path, "test"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial with an ended context: %v", err)
	}
}
