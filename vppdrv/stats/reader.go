package stats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Timeout bounds each reading.
const Timeout = 5 * time.Second

// pause is how long VPP is left to finish a change of its counters.
const pause = time.Millisecond

// Reader reads VPP's counters. Its methods may be called from several
// goroutines. It holds nothing of VPP between readings.
type Reader struct {
	path   string
	events []event
	wanted map[string]bool

	// turn is held while reading. The rest is what the one who holds it knows.
	turn        chan struct{}
	serial      uint64
	incarnation uint64
	meters      []meter // of events
}

// New returns a Reader of the VPP whose stats socket is at path. It does not
// connect.
func New(path string) *Reader {
	all := events()
	return &Reader{
		path: path, events: all, wanted: wanted(all),
		turn: make(chan struct{}, 1), meters: make([]meter, len(all)),
	}
}

// Read reads what VPP has counted. Within one incarnation no event goes back.
// The error wraps ErrNoAnswer, ErrBusy, ErrSegment, the context's error, or
// says why VPP cannot be reached; a later call may succeed, also at a VPP that
// was started since.
func (r *Reader) Read(ctx context.Context) (*Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	m, err := fetch(ctx, r.path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	reading, err := r.settled(ctx, m, m.size)
	if err != nil {
		return nil, err
	}
	r.keep(reading, m.identity)
	return reading, nil
}

// settled reads until VPP changed nothing meanwhile of what memory holds what.
func (r *Reader) settled(ctx context.Context, memory io.ReaderAt, size uint64) (*Reading, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		reading, err := r.attempt(memory, size)
		if !errors.Is(err, errChanged) {
			return reading, err
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
		}
	}
}

// errChanged reports that what was read may be anything.
var errChanged = errors.New("changed while it was read")

func (r *Reader) attempt(memory io.ReaderAt, size uint64) (*Reading, error) {
	before, err := readHeader(memory)
	if err != nil {
		return nil, err
	}
	if before.changing {
		return nil, errChanged
	}
	reading, err := r.parse(&segment{memory: memory, size: size, header: before})
	after, again := readHeader(memory)
	if again == nil && after != before {
		return nil, errChanged
	}
	return reading, errors.Join(err, again)
}

func (r *Reader) parse(s *segment) (*Reading, error) {
	d, err := s.open(r.wanted)
	if err != nil {
		return nil, err
	}
	return parse(d, r.events)
}

// keep makes events go on from what they were.
func (r *Reader) keep(reading *Reading, incarnation uint64) {
	if incarnation != r.incarnation {
		r.incarnation = incarnation
		clear(r.meters)
	}
	for i := range reading.Events {
		e := &reading.Events[i]
		e.Packets = r.meters[i].see(dataplane.Traffic{Packets: e.Packets}).Packets
	}
	r.serial++
	reading.Incarnation, reading.serial = incarnation, r.serial
}
