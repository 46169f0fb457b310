package main

import (
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	text, err := page()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| `pools[].psid-len` | required | How many bits the PSID has: 2^psid-len lwB4s share an address. 0 gives whole addresses. psid-offset and psid-len make at most 16. |",
		"| `control.rate` | `20000` | Requests per second from all clients together, those on a stream too; more are refused. |",
		"\n## pools\n\nThe IPv4 addresses that lwB4s share.",
	} {
		if !strings.Contains(text, row) {
			t.Errorf("missing: %s", row)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct{ name, comment, meaning, value string }{
		{"default", "What. Default: 5s", "What.", "`5s`"},
		{"required", "What. Required.", "What.", "required"},
		{"off", "What. Default: none", "What.", "-"},
		{"explained", "What. Default: none (the pool's)", "What.", "the pool's"},
		{"without a meaning", "Default: 0", "", "`0`"},
		{"section", "Of <this>.", "Of &lt;this>.", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if meaning, value := split(tt.comment); meaning != tt.meaning || value != tt.value {
				t.Errorf("got %q, %q", meaning, value)
			}
		})
	}
}
