package speaker

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/osrg/gobgp/v3/pkg/log"
)

// TestJournal: lines get to the router without what it knows, and none waits for
// it.
func TestJournal(t *testing.T) {
	j := newJournal()
	j.Warn("received notification", log.Fields{"Topic": "Peer", "Key": "192.0.2.1", "Code": 6, "Data": strings.Repeat("\xff", 1000)})
	line := <-j.lines
	if line.Level != "warning" || line.Message != "received notification" || len(line.Fields) != 2 || line.Fields["code"] != "6" {
		t.Errorf("got %+v", line)
	}
	if data := line.Fields["data"]; len(data) > maxText+len("...") || !utf8.ValidString(data) {
		t.Errorf("data: %q", data)
	}
	if what, at := j.trouble(); what != "received notification, code 6" || at.IsZero() {
		t.Errorf("trouble: %q at %s", what, at)
	}
	j.Info("Peer Down", log.Fields{"Reason": "hold timer expired"})
	if what, _ := j.trouble(); what != "Peer Down, reason hold timer expired" {
		t.Errorf("trouble: %q", what)
	}
	for range 2 * backlog {
		j.Info("again", nil)
	}
	if len(j.lines) != backlog {
		t.Errorf("%d lines wait, want %d", len(j.lines), backlog)
	}
}
