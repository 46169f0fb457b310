package speaker

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/osrg/gobgp/v3/pkg/log"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// journal is the log of GoBGP on its way to the router. GoBGP writes to it from
// under its locks, so it never waits: lines that the router does not take are
// dropped.
type journal struct {
	lines chan feed.Log

	mu      sync.Mutex
	problem string // the last one
	at      time.Time
}

var _ log.Logger = (*journal)(nil)

// backlog is how many lines may wait.
const backlog = 64

func newJournal() *journal { return &journal{lines: make(chan feed.Log, backlog)} }

// trouble is the last thing that went wrong, and when.
func (j *journal) trouble() (string, time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.problem, j.at
}

func (j *journal) write(level, message string, fields log.Fields) {
	line := feed.Log{Level: level, Message: clip(message), Fields: make(map[string]string)}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		// The router knows which peer this is about.
		case "Topic", "Key":
		default:
			if len(line.Fields) < maxFields {
				line.Fields[strings.ToLower(key)] = clip(fmt.Sprint(fields[key]))
			}
		}
	}
	select {
	case j.lines <- line:
	default:
	}
}

// fail keeps what went wrong for show commands.
func (j *journal) fail(message string, fields log.Fields) {
	for _, key := range []string{"Reason", "Error", "Code", "Subcode"} {
		if why, ok := fields[key]; ok {
			message += fmt.Sprintf(", %s %v", strings.ToLower(key), why)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.problem, j.at = clip(message), time.Now()
}

// Bounds of a line: what a peer sends may be in it.
const (
	maxText   = 256
	maxFields = 8
)

func clip(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}

// Panic is as log.Logger.Panic.
func (j *journal) Panic(message string, fields log.Fields) {
	panic(fmt.Sprint(message, " ", fields))
}

// Fatal ends the process, which is what GoBGP relies on. The router is another
// one.
func (j *journal) Fatal(message string, fields log.Fields) {
	fmt.Fprintln(os.Stderr, message, fields)
	os.Exit(1)
}

// Error is as log.Logger.Error.
func (j *journal) Error(message string, fields log.Fields) {
	j.fail(message, fields)
	j.write("error", message, fields)
}

// Warn is as log.Logger.Warn.
func (j *journal) Warn(message string, fields log.Fields) {
	j.fail(message, fields)
	j.write("warning", message, fields)
}

// Info is as log.Logger.Info. That a session went down is information to GoBGP.
func (j *journal) Info(message string, fields log.Fields) {
	if _, ok := fields["Reason"]; ok {
		j.fail(message, fields)
	}
	j.write("info", message, fields)
}

// Debug keeps why a connection could not be made, which GoBGP says nowhere else.
func (j *journal) Debug(message string, fields log.Fields) {
	if _, ok := fields["Error"]; ok {
		j.fail(message, fields)
	}
}

// SetLevel does nothing: the router chooses what it shows.
func (j *journal) SetLevel(log.LogLevel) {}

// GetLevel is as log.Logger.GetLevel.
func (j *journal) GetLevel() log.LogLevel { return log.DebugLevel }
