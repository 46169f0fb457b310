package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// TestPlay follows the pages from top to bottom, as a reader would: files are
// written, commands are run in order in a network namespace and folders of
// their own, and must print what the page shows.
func TestPlay(t *testing.T) {
	netlab.Require(t)
	// The pages show "devel", which a build within a clone is not.
	binaries, err := scene.Build(t.Context(), t.TempDir(), "-buildvcs=false")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range playedPages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch name {
			case bgpPage:
				netlab.RequireProgram(t, bird.Program, bird.Package)
			case dhcpv6Page:
				netlab.RequireProgram(t, "dhcpcd", "dhcpcd-base")
			}
			programs := filepath.Dir(binaries.Lwaftr)
			if name == vppPage {
				programs += ":" + filepath.Dir(vpptest.Require(t))
			}
			s := newShell(t, programs)
			ran := 0
			for _, step := range steps(read(t, filepath.Join("..", "..", "docs", name))) {
				if t.Failed() {
					break
				}
				if step.command.text != "" {
					ran++
				}
				s.play(t, step)
			}
			t.Logf("%d commands", ran)
			if ran == 0 {
				t.Error("no commands were run")
			}
		})
	}
}

// TestShellKeepsApart: what a program in the background prints is not taken for
// the output of the commands after it.
func TestShellKeepsApart(t *testing.T) {
	netlab.Require(t)
	s := newShell(t, "/usr/sbin")
	if out, code := s.run(t, "mkfifo go; { read <go; echo late; } &"); out != "" || code != "0" {
		t.Fatalf("%q, exit code %s", out, code)
	}
	if out, code := s.run(t, "echo >go; wait; echo own"); out != "own\n" || code != "0" {
		t.Errorf("%q, exit code %s; want only its own", out, code)
	}
}

// shell is a shell with a network, processes and system folders of its own.
type shell struct {
	folder string
	in     *os.File
	status chan string // the exit code of each command
	ran    int         // texts
}

// surroundings gives the shell empty system folders. What runs in it ends with
// it, because it has its own process IDs.
const surroundings = `
mount --make-rprivate /
mkdir "$FOLDER/etc" && cp -a /etc/. "$FOLDER/etc/" && mount --bind "$FOLDER/etc" /etc
for d in /run /var/lib /var/log; do mount -t tmpfs tmpfs "$d"; done
mkdir -p /etc/lw4o6 /var/lib/lw4o6 /var/log/lw4o6
ip link set lo up
cd /etc/lw4o6
`

func newShell(t *testing.T, programs string) *shell {
	t.Helper()
	folder, err := os.MkdirTemp("", "lw4o6-docs")
	if err != nil {
		t.Fatal(err)
	}
	in, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	status, answer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "--norc")
	project, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "FOLDER="+folder, "PROJECT="+project, "PATH="+programs+":"+os.Getenv("PATH"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, os.Stderr, os.Stderr
	cmd.ExtraFiles = []*os.File{answer}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	answer.Close()
	s := &shell{folder: folder, in: input, status: make(chan string)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		var line string
		for {
			if _, err := fmt.Fscanln(status, &line); err != nil {
				close(s.status)
				return
			}
			s.status <- line
		}
	}()
	t.Cleanup(func() {
		input.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		status.Close()
		<-read
		os.RemoveAll(folder)
	})
	if out, code := s.run(t, strictly(surroundings)); code != "0" {
		t.Fatalf("the shell's surroundings: exit code %s\n%s", code, out)
	}
	return s
}

// run runs shell text in the shell itself, so that what it defines stays, and
// returns what it printed. The file for that is its own: a program that an
// earlier text has left in the background may still write to that text's.
func (s *shell) run(t *testing.T, text string) (output, code string) {
	t.Helper()
	s.ran++
	out := fmt.Sprintf("out.%d", s.ran)
	fmt.Fprintf(s.in, "{ %s\n} >\"$FOLDER/%s\" 2>&1 </dev/null; echo $? >&3\n", text, out)
	select {
	case code, ok := <-s.status:
		if !ok {
			t.Fatalf("the shell ended at %q", text)
		}
		b, err := os.ReadFile(filepath.Join(s.folder, out))
		if err != nil {
			t.Fatal(err)
		}
		return string(b), code
	case <-time.After(patience):
		t.Fatalf("%q does not end", text)
	}
	return "", ""
}

// strictly makes shell text fail if any command of it does, but in conditions.
func strictly(text string) string {
	return "failed=0; set -E; trap 'failed=1; echo \"failed: $BASH_COMMAND\"' ERR\n" + text + "\ntrap - ERR; [ $failed = 0 ]"
}

// foreground recognises the commands that run until they are stopped.
var foreground = regexp.MustCompile(`^(ip netns exec \w+ )?(lwaftr run|lwb4 run|coredhcp)\b`)

// ready is what they log when they are, for grep.
const ready = `-e msg=ready -e "softwire is up" -e "Listen "`

// file is the path of a configuration as it is outside of the shell.
func (s *shell) file(name string) string { return filepath.Join(s.folder, "etc", "lw4o6", name) }

// joined is a configuration with what a part of one adds or has otherwise.
func joined(t *testing.T, whole, part string) []byte {
	t.Helper()
	var all, more map[string]any
	for text, keys := range map[string]*map[string]any{whole: &all, part: &more} {
		if err := yaml.Unmarshal([]byte(text), keys); err != nil {
			t.Fatal(err)
		}
	}
	join(all, more)
	out, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func join(all, more map[string]any) {
	for key, value := range more {
		section, ok := value.(map[string]any)
		if there, is := all[key].(map[string]any); ok && is {
			join(there, section)
			continue
		}
		all[key] = value
	}
}

func (s *shell) play(t *testing.T, do step) {
	t.Helper()
	switch {
	case do.file != "":
		if err := os.WriteFile(s.file(do.file), []byte(do.content), 0o600); err != nil {
			t.Fatal(err)
		}
	case do.part != "":
		whole := read(t, s.file("lwaftr.yaml"))
		if err := os.WriteFile(s.file("lwaftr.yaml"), joined(t, whole, do.part), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := s.run(t, "lwaftr check"); code != "0" {
			t.Errorf("line %d: lwaftr check: exit code %s\n%s", do.line, code, out)
		}
	case do.setup != "":
		if out, code := s.run(t, strictly(do.setup)); code != "0" {
			t.Errorf("line %d: play: exit code %s\n%s", do.line, code, out)
		}
	case foreground.MatchString(do.command.text):
		log := fmt.Sprintf("$FOLDER/log.%d", do.line)
		wait := `for i in {1..200}; do grep -q ` + ready + ` "` + log + `" && break; sleep 0.1; done; grep -q ` + ready + ` "` + log + `" || { cat "` + log + `"; false; }`
		if out, code := s.run(t, do.command.text+` >"`+log+`" 2>&1 & `+wait); code != "0" {
			t.Errorf("line %d: %s: is not ready:\n%s", do.line, do.command.text, out)
		}
	default:
		out, code := s.run(t, do.command.text)
		switch {
		case do.command.output == "" && code != "0":
			t.Errorf("line %d: %s: exit code %s\n%s", do.line, do.command.text, code, out)
		case do.command.output != "" && !alike(do.command.output, out):
			t.Errorf("line %d: %s: the page shows\n%s\nand it prints\n%s", do.line, do.command.text, do.command.output, out)
		}
	}
}
