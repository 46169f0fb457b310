// Command configuration writes docs/configuration.md: every key of lwaftr's
// configuration as a table, from the commented reference that the tests hold
// against the code. `make docs` runs it.
package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/configtest"
)

func main() {
	text, err := page()
	if err != nil {
		fmt.Fprintln(os.Stderr, "configuration:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

// unchecked is a plugin.Config that is read without being validated: examples of
// all kinds do not go together.
type unchecked plugin.Config

const head = `# The configuration of lwaftr

Every key of the file, made from [reference.yaml](../plugin/reference.yaml) by ` + "`make docs`" + `; ` + "`lwaftr check --print-reference`" + `
prints that file, which can be used as it is. Units: sizes are in octets, durations have a unit (500ms, 2s, 1m).
What can change while the router runs takes effect by ` + "`lwaftr reload`" + `; for the rest the reload is refused and names the key.
An item of a list is written ` + "`[]`" + `. A key without a default and not required is off, or empty, if it is left out.
`

// page is docs/configuration.md.
func page() (string, error) {
	text := configtest.SwitchOn(plugin.Reference())
	c := unchecked(plugin.DefaultConfig())
	doc, err := config.Parse("reference.yaml", []byte(text), &c)
	if err != nil {
		return "", err
	}
	lines := strings.Split(text, "\n")
	var out strings.Builder
	out.WriteString(head)
	for _, key := range config.Keys(reflect.TypeFor[plugin.Config]()) {
		line, _, ok := doc.Lookup(key.Path)
		if !ok {
			return "", fmt.Errorf("%s is not in the reference", key.Path)
		}
		meaning, value := split(configtest.CommentAbove(lines, line))
		path := strings.ReplaceAll(key.Path, "[0]", "[]")
		if !strings.Contains(path, ".") && !key.Leaf {
			fmt.Fprintf(&out, "\n## %s\n\n%s\n\n| Key | Default | Meaning |\n|---|---|---|\n", path, meaning)
			continue
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", path, value, strings.ReplaceAll(meaning, "|", `\|`))
	}
	return out.String(), nil
}

// split parts the comment of a key into what it means and its default.
func split(comment string) (meaning, value string) {
	comment = strings.ReplaceAll(comment, "<", "&lt;")
	if rest, ok := strings.CutSuffix(comment, "Required."); ok {
		return strings.TrimSpace(rest), "required"
	}
	meaning, value, ok := strings.Cut(comment, "Default: ")
	if !ok {
		return comment, ""
	}
	switch value = strings.TrimSpace(value); {
	case value == "none":
		value = "-"
	case strings.HasPrefix(value, "none ("):
		value = strings.TrimSuffix(strings.TrimPrefix(value, "none ("), ")")
	default:
		value = "`" + value + "`"
	}
	return strings.TrimSpace(meaning), value
}
