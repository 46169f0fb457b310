package forwarder

import (
	"regexp"
	"strings"
	"testing"
)

func TestEventNames(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := make(map[string]Event)
	count := 0
	for e := range Events {
		count++
		if !name.MatchString(e.String()) || e.Meaning() == "" || e.String() == "unknown" {
			t.Errorf("event %d: name %q, meaning %q", e, e, e.Meaning())
		}
		if e.Drop() != strings.HasPrefix(e.String(), "drop-") {
			t.Errorf("%s: Drop is %v", e, e.Drop())
		}
		if other, again := seen[e.String()]; again {
			t.Errorf("%s names events %d and %d", e, other, e)
		}
		seen[e.String()] = e
	}
	if count != int(eventCount) {
		t.Errorf("Events yields %d, want %d", count, eventCount)
	}
	if eventCount.String() != "unknown" {
		t.Error("there is a text for an event that does not exist")
	}
}
