package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/bgp/feed"
	"github.com/lwaftr/lw4o6/plugin/announce"
)

// The test's program is also a speaker that does as its second argument says.
func TestMain(m *testing.M) {
	name, value, _ := strings.Cut(feed.Handshake, "=")
	if os.Getenv(name) == value {
		if err := fakeSpeaker(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func speakerOf(does string) feed.Program {
	return feed.Program{Path: "/proc/self/exe", Args: []string{"fake", does}}
}

// fakeSpeaker reports each set that it gets as announced; a file's name has it
// end by a panic after each set, but only as long as there is no such file.
func fakeSpeaker(does string) error {
	conn, err := net.FileConn(os.NewFile(feed.Descriptor, "router"))
	if err != nil {
		return err
	}
	switch does {
	case "garbage":
		_, err := conn.Write([]byte("\x00\x00\x00\x02{]"))
		return errors.Join(err, wait(conn))
	case "flood":
		_, err := conn.Write([]byte{0xff, 0xff, 0xff, 0xff})
		return errors.Join(err, wait(conn))
	case "deaf":
		_ = wait(conn)
		time.Sleep(time.Hour)
	}
	for {
		var o feed.Order
		if err := feed.Read(conn, &o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if o.Routes == nil {
			continue
		}
		status := feed.Status{State: feed.Established}
		for _, r := range o.Routes.Routes {
			status.Announced = append(status.Announced, r.Prefix)
		}
		line := feed.Log{Level: "warning", Message: fmt.Sprint(status.Announced)}
		if err := errors.Join(feed.Write(conn, &feed.Report{Log: &line}), feed.Write(conn, &feed.Report{Status: &status})); err != nil {
			return err
		}
		if strings.HasPrefix(does, "/") {
			if f, err := os.OpenFile(does, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				_ = f.Close() // its existence counts
				panic("malformed")
			}
		}
	}
}

// wait reads until the router hangs up.
func wait(conn net.Conn) error {
	_, err := io.Copy(io.Discard, conn)
	return err
}

// lines are what a router logs.
type lines chan *logrus.Entry

func (l lines) Levels() []logrus.Level { return logrus.AllLevels }

func (l lines) Fire(e *logrus.Entry) error {
	l <- e
	return nil
}

// run runs Speakers with one peer, and returns them with what they log.
func run(t *testing.T, does string) (*Speakers, lines) {
	t.Helper()
	log, logged := logrus.New(), make(lines, 1000)
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.TraceLevel)
	log.AddHook(logged)
	s, err := New(good(), speakerOf(does), log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, logged
}

// await returns the first line with a message.
func (l lines) await(t *testing.T, message string) *logrus.Entry {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case e := <-l:
			if e.Message == message {
				return e
			}
		case <-late:
			t.Fatalf("no line %q in the log", message)
		}
	}
}

const endedLine = "the BGP speaker has ended; another one is started"

func set(t *testing.T, s *Speakers, prefixes ...string) {
	t.Helper()
	all := []announce.Announcement{}
	for _, p := range prefixes {
		all = append(all, announcement(p))
	}
	if err := s.Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// TestEachSet: a speaker gets every set in order, nothing before the first one,
// and nothing for nil.
func TestEachSet(t *testing.T) {
	s, logged := run(t, "report")
	if err := s.Set(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	set(t, s, "192.0.2.0/24", "2001:db8::1/128")
	logged.await(t, "BGP session is up")
	var want []string
	for i := range 20 {
		text := fmt.Sprintf("10.%d.0.0/16", i)
		set(t, s, text)
		want = append(want, "["+text+"]")
	}
	if err := s.Set(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	set(t, s)
	want = append(want, "[]")
	var got []string
	for len(got) < len(want) {
		if e := <-logged; e.Level == logrus.WarnLevel {
			got = append(got, e.Message)
			if e.Data["peer"] != "up" {
				t.Errorf("a line does not name the peer: %v", e.Data)
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if is := s.Stats()[0]; is.PID == 0 || is.Starts != 1 || is.Sessions != 1 || is.Since.IsZero() {
		t.Errorf("got %+v", is)
	}
}

// TestReplay: a speaker that falls is started again with the last set, and what it
// said is in the log.
func TestReplay(t *testing.T) {
	s, logged := run(t, filepath.Join(t.TempDir(), "fallen"))
	set(t, s, "192.0.2.0/24")
	e := logged.await(t, endedLine)
	if err := e.Data[logrus.ErrorKey].(error); !strings.Contains(err.Error(), "panic: malformed") {
		t.Errorf("the log has no cause: %v", err)
	}
	logged.await(t, "[192.0.2.0/24]")
	logged.await(t, "BGP session is up")
	is := s.Stats()[0]
	if is.Starts != 2 || is.Sessions != 2 || is.Flaps != 1 || !strings.Contains(is.Error, "panic: malformed") {
		t.Errorf("got %+v", is)
	}
}

// TestNonsense: a speaker that reports nonsense is ended.
func TestNonsense(t *testing.T) {
	for _, does := range []string{"garbage", "flood"} {
		t.Run(does, func(t *testing.T) {
			s, logged := run(t, does)
			set(t, s, "192.0.2.0/24")
			e := logged.await(t, endedLine)
			if err := e.Data[logrus.ErrorKey].(error); !errors.Is(err, feed.ErrFrame) {
				t.Errorf("the cause is %v", err)
			}
		})
	}
}

// TestDeaf: a speaker that does not end when the router does is killed.
func TestDeaf(t *testing.T) {
	s, _ := run(t, "deaf")
	set(t, s)
	for s.Stats()[0].PID == 0 {
		time.Sleep(time.Millisecond)
	}
}

// TestSilence: a speaker that says nothing is taken for broken, and not one that
// only gives signs of life.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			for range 100 {
				if feed.Write(theirs, &feed.Report{}) != nil {
					return
				}
				time.Sleep(feed.Beat)
			}
		}()
		began := time.Now()
		err := (&process{conn: ours}).listen(func(feed.Report) {})
		if err == nil || !strings.Contains(err.Error(), "it is silent for 10s") {
			t.Errorf("got %v", err)
		}
		if after, want := time.Since(began), 99*feed.Beat+feed.Silence; after != want {
			t.Errorf("after %s, want %s", after, want)
		}
	})
}

// TestPasswordFile: the password is read when a speaker starts, and one that cannot
// be read keeps it from starting.
func TestPasswordFile(t *testing.T) {
	c := good()
	c.Peers[0].PasswordFile = filepath.Join(t.TempDir(), "password")
	p := newPeer(c, c.Peers[0], speakerOf("report"), logrus.New())
	if _, err := p.opening(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(c.Peers[0].PasswordFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if session, err := p.opening(); err != nil || session.Password != "secret" {
		t.Errorf("got %+v, %v", session, err)
	}
}

// TestRefusedSets: a set that cannot be announced changes nothing.
func TestRefusedSets(t *testing.T) {
	s, err := New(good(), speakerOf("report"), logrus.New())
	if err != nil {
		t.Fatal(err)
	}
	twice := []announce.Announcement{announcement("192.0.2.0/24"), announcement("192.0.2.0/24")}
	hostBits := []announce.Announcement{announcement("192.0.2.1/24")}
	for _, all := range [][]announce.Announcement{twice, hostBits, make([]announce.Announcement, feed.MaxRoutes+1), make([]announce.Announcement, 1)} {
		if s.Set(t.Context(), all) == nil {
			t.Errorf("%d routes are taken: %v", len(all), all[0])
		}
	}
	if s.peers[0].last != nil {
		t.Error("something is announced")
	}
	if _, err := New(good(), feed.Program{}, logrus.New()); !errors.Is(err, ErrProgram) {
		t.Errorf("without a program: %v", err)
	}
}
