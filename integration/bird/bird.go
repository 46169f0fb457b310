package bird

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// BIRD's daemon and the Debian package that has it.
const (
	Program = "bird"
	Package = "bird2"
)

// BIRD is a BIRD that runs. It ends with its lab.
type BIRD struct {
	process *netlab.Process
	socket  string
}

// Start runs BIRD in a namespace with a router ID and a configuration of further
// statements, and returns when it answers. Folder is for its files, and has a
// short path.
func Start(ctx context.Context, in *netlab.Namespace, folder string, id netip.Addr, statements string) (*BIRD, error) {
	path := filepath.Join(folder, "bird.conf")
	text := fmt.Sprintf("log stderr all;\nrouter id %s;\nprotocol device {}\n%s", id, statements)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	b := &BIRD{socket: filepath.Join(folder, "bird.sock")}
	var err error
	b.process, err = in.Start(Program, "-f", "-c", path, "-s", b.socket, "-P", filepath.Join(folder, "bird.pid"))
	if err != nil {
		return nil, err
	}
	for {
		_, err := b.Show("status")
		if err == nil {
			return b, nil
		}
		select {
		case <-b.process.Done():
			return nil, fmt.Errorf("BIRD ended: %s", b.process.Output())
		case <-ctx.Done():
			return nil, fmt.Errorf("BIRD: %w: %w", ctx.Err(), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Output is what BIRD has logged.
func (b *BIRD) Output() string { return b.process.Output() }

// answerTime bounds one answer of BIRD.
const answerTime = 10 * time.Second

// Show returns BIRD's answer to a show command, as birdc prints it.
func (b *BIRD) Show(what string) (string, error) {
	conn, err := net.DialTimeout("unix", b.socket, answerTime)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(conn)
	if _, err := answer(lines); err != nil {
		return "", err // the greeting
	}
	if _, err := fmt.Fprintf(conn, "show %s\n", what); err != nil {
		return "", err
	}
	return answer(lines)
}

// answer reads lines up to the last one of an answer. One begins with a code of
// four digits and a dash, or a space on the last line, or with a space in place
// of the code before.
func answer(lines *bufio.Scanner) (string, error) {
	var text strings.Builder
	for lines.Scan() {
		line := lines.Text()
		if rest, more := strings.CutPrefix(line, " "); more {
			fmt.Fprintln(&text, rest)
			continue
		}
		if len(line) < 5 {
			return "", fmt.Errorf("BIRD says %q", line)
		}
		fmt.Fprintln(&text, line[5:])
		switch code := line[0]; {
		case code == '8' || code == '9':
			return "", fmt.Errorf("BIRD says %s", line)
		case line[4] == ' ':
			return text.String(), nil
		}
	}
	return "", fmt.Errorf("BIRD's answer ends early: %w", lines.Err())
}

// Routes are the prefixes that BIRD has routes to, with the text about each.
func (b *BIRD) Routes() (map[netip.Prefix]string, error) {
	text, err := b.Show("route all")
	if err != nil {
		return nil, err
	}
	all := make(map[netip.Prefix]string)
	var last netip.Prefix
	for line := range strings.Lines(text) {
		if word, _, _ := strings.Cut(line, " "); word != "" {
			if p, err := netip.ParsePrefix(word); err == nil {
				last = p
			}
		}
		if last.IsValid() {
			all[last] += line
		}
	}
	return all, nil
}

// Await asks for routes until they are as wanted, and returns when that was. It
// asks again every millisecond.
func (b *BIRD) Await(ctx context.Context, wanted func(map[netip.Prefix]string) bool) (time.Time, error) {
	for {
		routes, err := b.Routes()
		now := time.Now()
		if err == nil && wanted(routes) {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return now, fmt.Errorf("BIRD has %v: %w", routes, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// Without is wanted when none of prefixes is there, and With when all are.
func Without(prefixes ...netip.Prefix) func(map[netip.Prefix]string) bool {
	return func(routes map[netip.Prefix]string) bool {
		for _, p := range prefixes {
			if _, is := routes[p]; is {
				return false
			}
		}
		return true
	}
}

// With is Without's opposite.
func With(prefixes ...netip.Prefix) func(map[netip.Prefix]string) bool {
	return func(routes map[netip.Prefix]string) bool {
		for _, p := range prefixes {
			if _, is := routes[p]; !is {
				return false
			}
		}
		return true
	}
}
