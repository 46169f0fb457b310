package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/integration/scene"
)

// programs runs the commands that the pages are about. What --help says is
// asked once for each.
type programs struct {
	paths map[string]string // by name
	helps map[string]string // by command and subcommands
}

// patience bounds one command.
const patience = time.Minute

func build(t *testing.T) *programs {
	t.Helper()
	b, err := scene.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &programs{
		paths: map[string]string{"lwaftr": b.Lwaftr, "lwb4": b.Lwb4},
		helps: make(map[string]string),
	}
}

// run is what a command prints in a folder, to standard output and standard
// error together, and its exit code.
func (p *programs) run(t *testing.T, folder string, words ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.paths[words[0]], words[1:]...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", words, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestPrograms holds the pages against the commands as they are built.
func TestPrograms(t *testing.T) {
	p := build(t)
	t.Run("commands", p.testCommands)
	t.Run("configurations", p.testConfigurations)
}

// testCommands: every command and flag that a page shows exists.
func (p *programs) testCommands(t *testing.T) {
	all := 0
	for _, name := range pages(t) {
		t.Run(name, func(t *testing.T) {
			checked, problems := p.unknown(t, load(t, name))
			all += checked
			for _, problem := range problems {
				t.Error(problem)
			}
		})
	}
	if all < 100 {
		t.Errorf("only %d commands were looked at", all)
	}
	t.Run("notices", func(t *testing.T) {
		bad := parse("bad.md", "`lwaftr show colours`, `lwb4 fly`, `lwaftr run --fast`, `lwaftr show -q`\n"+
			"```console\n$ lwaftr check \\\n    --slow\n```\n")
		if checked, problems := p.unknown(t, bad); checked != 5 || len(problems) != 5 {
			t.Errorf("%d looked at, %q", checked, problems)
		}
	})
}

// unknown looks at every command in console blocks and in text.
func (p *programs) unknown(t *testing.T, pg page) (checked int, problems []string) {
	all := slices.Clone(pg.spans)
	for _, b := range pg.blocks {
		if b.language == "console" {
			for _, c := range commands(b) {
				all = append(all, span{c.line, c.text})
			}
		}
	}
	for _, s := range all {
		for _, text := range separator.Split(s.text, -1) {
			words := strings.Fields(text)
			if len(words) == 0 || p.paths[words[0]] == "" {
				continue
			}
			checked++
			if problem := p.wrong(t, words); problem != "" {
				problems = append(problems, fmt.Sprintf("docs/%s:%d: %s: %s", pg.name, s.line, text, problem))
			}
		}
	}
	return checked, problems
}

// separator stands between commands of a line, or before where output goes.
var separator = regexp.MustCompile(`&&|\|\||[|;>&]`)

// wrong says which word of a command line does not exist.
func (p *programs) wrong(t *testing.T, words []string) string {
	path := []string{words[0]}
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "-") {
			break
		}
		path = append(path, w)
	}
	help := p.help(t, path, `[\[A-Z]`)
	// The last words may be arguments, which the command's usage has in capitals.
	for n := len(path) - 1; help == "" && n > 1; n-- {
		if help = p.help(t, path[:n], `\[?[A-Z]`); help != "" {
			path = path[:n]
		}
	}
	if help == "" {
		return "there is no such command"
	}
	for _, w := range words[len(path):] {
		flag, _, _ := strings.Cut(w, "=")
		if !strings.HasPrefix(flag, "-") {
			continue
		}
		if !regexp.MustCompile(`(?m)(^|[ ,])` + regexp.QuoteMeta(flag) + `([ ,]|$)`).MatchString(help) {
			return "there is no flag " + flag
		}
	}
	return ""
}

// help is what a command with the words of path says of itself, if what follows
// them in its usage matches next; empty if there is no such command.
func (p *programs) help(t *testing.T, path []string, next string) string {
	name := strings.Join(path, " ")
	help, ok := p.helps[name]
	if !ok {
		var code int
		if help, code = p.run(t, "", append(slices.Clone(path), "--help")...); code != 0 {
			help = ""
		}
		p.helps[name] = help
	}
	if !regexp.MustCompile(`\n  ` + regexp.QuoteMeta(name) + ` ` + next).MatchString(help) {
		return ""
	}
	return help
}

// command is one command of a console block and what it prints.
type command struct {
	line         int
	text, output string
}

// commands finds the commands of a console block. They stand behind "$ " and
// may go on after a backslash.
func commands(b block) []command {
	var all []command
	more := false
	for i, line := range b.lines {
		text, begins := strings.CutPrefix(line, "$ ")
		if begins {
			all = append(all, command{line: b.line + i})
		}
		if len(all) == 0 {
			continue
		}
		last := &all[len(all)-1]
		if !begins && !more {
			last.output += line + "\n"
			continue
		}
		text, more = strings.CutSuffix(text, "\\")
		last.text += text
	}
	return all
}

// testConfigurations: the configurations of the pages are good, and checks and
// traces print what the pages say.
func (p *programs) testConfigurations(t *testing.T) {
	configurations, outputs := 0, 0
	played := playedPages(t)
	for _, name := range pages(t) {
		t.Run(name, func(t *testing.T) {
			pg := load(t, name)
			folder := t.TempDir()
			put := func(name string, b block) {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(b.text()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, b := range pg.blocks {
				if strings.Contains(b.purpose, ".") {
					put(b.purpose, b)
				}
			}
			for _, b := range pg.blocks {
				if p.paths[b.purpose] != "" {
					configurations++
					put(b.purpose+".yaml", b)
					if out, code := p.run(t, folder, b.purpose, "check", "-c", b.purpose+".yaml"); code != 0 {
						t.Errorf("line %d: exit code %d:\n%s", b.line, code, out)
					}
				}
				if b.language == "yaml" && b.purpose == "" && !slices.Contains(played, name) {
					t.Errorf("line %d: only a page that is played has parts of configurations", b.line)
				}
				if b.language == "console" {
					outputs += p.replay(t, folder, b)
				}
			}
		})
	}
	if configurations < 10 || outputs < 10 {
		t.Errorf("only %d configurations and %d outputs were looked at", configurations, outputs)
	}
}

// inFolder makes paths of the pages relative to a folder of the test.
var inFolder = strings.NewReplacer("/etc/lw4o6/", "")

// replay runs the commands of a block that need no running router, with the
// last configuration above it, and compares what they print.
func (p *programs) replay(t *testing.T, folder string, b block) (compared int) {
	for _, c := range commands(b) {
		words := strings.Fields(inFolder.Replace(c.text))
		if separator.MatchString(c.text) || len(words) < 2 || p.paths[words[0]] == "" || words[1] != "trace" && words[1] != "check" {
			continue
		}
		if words[1] == "trace" && !slices.Contains(words, "--offline") {
			words = append(words, "--offline")
		}
		// The settings of lwb4 may all be flags.
		if words[0] == "lwaftr" && !slices.Contains(words, "-c") {
			words = append(words, "-c", "lwaftr.yaml")
		}
		compared++
		out, _ := p.run(t, folder, words...)
		if diff := cmp.Diff(inFolder.Replace(c.output), out); diff != "" {
			t.Errorf("line %d: %s: -page +command:\n%s", c.line, c.text, diff)
		}
	}
	return compared
}

// TestReplayComparesOutput: what a command prints is taken from the page.
func TestReplayComparesOutput(t *testing.T) {
	b := parse("p.md", "```console\n$ a \\\n    b\nline 1\n\nline 2\n$ c\n```\n").blocks[0]
	want := []command{{2, "a     b", "line 1\n\nline 2\n"}, {7, "c", ""}}
	if diff := cmp.Diff(want, commands(b), cmp.AllowUnexported(command{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
