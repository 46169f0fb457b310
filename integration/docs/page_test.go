// Package docs holds the pages in docs/ against the code: what they say of
// counters, keys, commands and packets must be so.
package docs

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Pages that tests name.
const (
	runningPage    = "running.md"
	forwardingPage = "forwarding.md"
	vppPage        = "vpp.md"
	metricsPage    = "metrics.md"
)

// pages are all in docs/.
func pages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("found only %q: %v", files, err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

// playedPages are those whose commands are run in order, see TestPlay: which say
// in a comment what surroundings their commands need.
func playedPages(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(pages(t), func(name string) bool {
		return !strings.Contains(read(t, filepath.Join("..", "..", "docs", name)), "\n<!-- play:")
	})
}

// page is one page, taken apart.
type page struct {
	name   string
	blocks []block
	spans  []span  // of code within text
	tables []table // with a head
}

// block is a fenced block. Its info string is a language and maybe a purpose:
// "yaml lwaftr" is a whole configuration of that command, "yaml" alone a part of
// lwaftr's, and a purpose with a dot is the name of a file that the configurations
// of the page may refer to.
type block struct {
	line              int // of its first line, from 1
	language, purpose string
	lines             []string
}

func (b block) text() string { return strings.Join(b.lines, "\n") + "\n" }

// span is code within a line of text.
type span struct {
	line int
	text string
}

// table is a table's cells, the head as its first row.
type table struct {
	line int
	rows [][]string
}

func load(t *testing.T, name string) page {
	t.Helper()
	return parse(name, read(t, filepath.Join("..", "..", "docs", name)))
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

func parse(name, text string) page {
	p := page{name: name}
	var open *block
	inTable := false
	for i, line := range strings.Split(text, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open != nil:
			p.blocks = append(p.blocks, *open)
			open = nil
			continue
		case fence:
			open = &block{line: i + 2}
			open.language, open.purpose, _ = strings.Cut(info, " ")
			continue
		case open != nil:
			open.lines = append(open.lines, line)
			continue
		}
		for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
			p.spans = append(p.spans, span{i + 1, m[1]})
		}
		if !strings.HasPrefix(line, "|") {
			inTable = false
			continue
		}
		if !inTable {
			p.tables = append(p.tables, table{line: i + 1})
			inTable = true
		}
		if row := cells(line); !slices.ContainsFunc(row, isRule) {
			last := &p.tables[len(p.tables)-1]
			last.rows = append(last.rows, row)
		}
	}
	return p
}

// isRule recognises the line below the head of a table.
func isRule(cell string) bool { return cell != "" && strings.Trim(cell, "-:") == "" }

func cells(line string) []string {
	row := strings.Split(strings.Trim(line, "|"), "|")
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	return row
}

// column is the first cells of the rows of every table with that head, without
// backquotes, and the second ones.
func (p page) column(head string) (first, second []string) {
	for _, t := range p.tables {
		if t.rows[0][0] != head {
			continue
		}
		for _, row := range t.rows[1:] {
			first = append(first, strings.Trim(row[0], "`"))
			second = append(second, row[1])
		}
	}
	return first, second
}

// TestParse: what the other tests look at is really found.
func TestParse(t *testing.T) {
	p := parse("p.md", "Text with `a b` and `c`.\n\n| Counter | Meaning |\n|---|---|\n| `x` | y |\n\n"+
		"```yaml lwaftr\npools:\n  - a\n```\n\n```console\n$ lwaftr\n```\n")
	if len(p.spans) != 3 || p.spans[0] != (span{1, "a b"}) || p.spans[2] != (span{5, "x"}) {
		t.Errorf("spans %+v", p.spans)
	}
	if names, meanings := p.column("Counter"); !slices.Equal(names, []string{"x"}) || !slices.Equal(meanings, []string{"y"}) {
		t.Errorf("column %q, %q", names, meanings)
	}
	if len(p.blocks) != 2 || p.blocks[0].purpose != "lwaftr" || p.blocks[0].line != 8 ||
		p.blocks[0].text() != "pools:\n  - a\n" || p.blocks[1].language != "console" {
		t.Errorf("blocks %+v", p.blocks)
	}
}
