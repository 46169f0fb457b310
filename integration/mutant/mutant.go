// Package mutant owns programs in which one thing is wrong: a test that would
// not notice is worth nothing.
package mutant

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Overlay writes, into a folder, what `go build -overlay` needs to build with a
// source file in which a text is replaced, and returns its path. That the file
// does not have the text any more is an error.
func Overlay(folder, file, old, replacement string) (string, error) {
	original, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	changed := strings.Replace(string(source), old, replacement, 1)
	if changed == string(source) {
		return "", fmt.Errorf("%s has no %q any more", original, old)
	}
	copied, overlay := filepath.Join(folder, "mutant.go"), filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(copied, []byte(changed), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {original: copied}})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o600)
}
