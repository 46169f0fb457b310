package speaker

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// errBusy ends a speaker that a peer has sent into an endless loop.
var errBusy = errors.New("it has been computing on end")

// busy notices a process that does nothing but compute.
type busy struct {
	at   time.Time     // of the last look
	used time.Duration // of processors until then
	idle time.Time     // when the process last had nothing to do
}

// maxBusy is how long a process may compute on end. There is work for some
// seconds at most.
const maxBusy = 30 * time.Second

// look is told how long processors have worked for the process so far, and
// reports whether it does nothing else.
func (b *busy) look(now time.Time, used time.Duration) bool {
	if b.at.IsZero() || used-b.used < now.Sub(b.at)*9/10 {
		b.idle = now
	}
	b.at, b.used = now, used
	return now.Sub(b.idle) > maxBusy
}

// used is how long processors have worked for this process.
func used() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
