package docs

import "strings"

// step is one thing that a reader of a page does, or that is there already.
type step struct {
	line          int
	file, content string  // a file to write
	part          string  // of lwaftr's configuration, to put into what there is
	command       command // to run, and what it prints
	// setup is shell text from a comment, which readers do not see: the
	// surroundings that the page takes for granted.
	setup string
}

// steps finds what is to be done. A comment "<!-- play: ... -->" is shell text
// to run at that place; "<!-- elsewhere: why -->" says that the next block is
// not for this machine.
func steps(text string) []step {
	var all []step
	elsewhere := false
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		begin := i
		switch line := lines[i]; {
		case strings.HasPrefix(line, "<!-- elsewhere:"):
			elsewhere = true
		case strings.HasPrefix(line, "<!-- play:"):
			for !strings.HasSuffix(lines[i], "-->") && i+1 < len(lines) {
				i++
			}
			body := strings.Join(lines[begin:i+1], "\n")
			body = strings.TrimSuffix(strings.TrimPrefix(body, "<!-- play:"), "-->")
			all = append(all, step{line: begin + 1, setup: body})
		case strings.HasPrefix(line, "```"):
			for i++; i < len(lines) && lines[i] != "```"; i++ {
			}
			b := block{line: begin + 2, lines: lines[begin+1 : i]}
			b.language, b.purpose, _ = strings.Cut(line[3:], " ")
			if !elsewhere {
				all = append(all, blockSteps(b)...)
			}
			elsewhere = false
		}
	}
	return all
}

func blockSteps(b block) []step {
	switch {
	case b.language == "console":
		var all []step
		for _, c := range commands(b) {
			all = append(all, step{line: c.line, command: c})
		}
		return all
	case strings.Contains(b.purpose, "."):
		return []step{{line: b.line, file: b.purpose, content: b.text()}}
	case b.purpose != "":
		return []step{{line: b.line, file: b.purpose + ".yaml", content: b.text()}}
	case b.language == "yaml":
		return []step{{line: b.line, part: b.text()}}
	}
	return nil
}
