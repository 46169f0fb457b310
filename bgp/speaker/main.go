package speaker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// Main makes this process a speaker if it was started as one, and then never
// returns. Otherwise it returns at once how to start one. A program calls it
// before anything else in main, and gives the result to package bgp.
func Main() feed.Program {
	name, value, _ := strings.Cut(feed.Handshake, "=")
	if os.Getenv(name) == value {
		if err := run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The program's file may be replaced while it runs; its speakers stay what it is.
	return feed.Program{Path: "/proc/self/exe", Args: []string{os.Args[0], "bgp-speaker"}}
}

// run is the life of the process.
func run() error {
	// Whoever stops the router may signal all processes of its group. What becomes
	// of the session is for the router to say.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := limit(); err != nil {
		return err
	}
	socket := os.NewFile(feed.Descriptor, "router")
	conn, err := net.FileConn(socket)
	if err != nil {
		return fmt.Errorf("a speaker is started by the router only: %w", err)
	}
	if err := socket.Close(); err != nil {
		return err
	}
	return serve(conn)
}

// memory is what a speaker may have, in octets. With as many routes as a router
// can announce it needs some 60 MB.
const memory = 512 << 20

// limit bounds what a peer can make this process use. A core would hold the
// password of the session.
func limit() error {
	debug.SetMemoryLimit(memory / 2)
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if memoryIsLimited {
		err = errors.Join(err, unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory}))
	}
	if err != nil {
		return fmt.Errorf("limits of a speaker: %w", err)
	}
	return nil
}
