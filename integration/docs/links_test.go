package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// unanchored is what GitHub leaves out of a heading to make its anchor.
	unanchored = regexp.MustCompile(`[^a-z0-9 -]`)
)

// TestLinks: every link within the repository leads to a file, and to a heading
// where it names one.
func TestLinks(t *testing.T) {
	var files []string
	for _, pattern := range []string{"docs/*.md", "*.md", "*/README.md", "examples/*/README.md"} {
		found, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	checked := 0
	for _, file := range files {
		n, problems := brokenLinks(t, file)
		checked += n
		for _, problem := range problems {
			t.Error(problem)
		}
	}
	if checked < 10 {
		t.Errorf("only %d links were looked at", checked)
	}
}

func TestLinksNotices(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	text := "# One: two\n[a](#one-two) [b](#three) [c](page.md#one-two) [d](none.md) [e](https://example.net/)\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, problems := brokenLinks(t, file); n != 4 || len(problems) != 2 {
		t.Errorf("%d looked at, %q", n, problems)
	}
}

func brokenLinks(t *testing.T, file string) (checked int, problems []string) {
	for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		checked++
		path, anchor, _ := strings.Cut(m[1], "#")
		target := file
		if path != "" {
			target = filepath.Join(filepath.Dir(file), path)
		}
		if _, err := os.Stat(target); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %s: %v", file, m[1], err))
		} else if anchor != "" && !anchors(read(t, target))[anchor] {
			problems = append(problems, fmt.Sprintf("%s: %s: there is no such heading", file, m[1]))
		}
	}
	return checked, problems
}

// anchors is the anchors of the headings of a page.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		plain := unanchored.ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(plain, " ", "-")] = true
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
