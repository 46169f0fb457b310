package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// ErrCorrupt reports a file of the history that is not as it was written.
var ErrCorrupt = errors.New("damaged history")

// The sections of a run.
const (
	sectionRecords = 0
	sectionClaims  = 1
	sections       = 2
)

// everything is the highest position.
var everything = blockfile.Position{Major: ^uint64(0), Minor: ^uint64(0)}

// run is an immutable file of records and claims, open for reading. Whoever
// uses it has retained it.
type run struct {
	number uint64
	name   string
	file   file
	size   int64
	blocks *blockfile.File
	about  about
	users  atomic.Int64
}

// about is what is known of a run without reading its records.
type about struct {
	// Events is how many events became this run; Records how many holds are
	// left of them, Claims how many claims.
	Events  uint64 `json:"events"`
	Records uint64 `json:"records"`
	Claims  uint64 `json:"claims"`
	// First and Last are the least and the greatest time of any edge.
	First stamp `json:"first"`
	Last  stamp `json:"last"`
	// FirstKey and LastKey are the least and the greatest key, packed.
	FirstKey uint64 `json:"first-key"`
	LastKey  uint64 `json:"last-key"`
	// Params and Lengths are all that occur: of port sets, and of subscribers'
	// prefixes in bits.
	Params  []portset.Params `json:"params"`
	Lengths []int            `json:"lengths"`
}

// openRun opens a run that belongs to the caller. The error wraps ErrCorrupt
// unless opening or reading failed.
func openRun(d disk, number uint64) (*run, error) {
	name := runName(number)
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	r := &run{number: number, name: name, file: f}
	r.users.Store(1)
	if err := r.load(); err != nil {
		return nil, errors.Join(r.wrap(err), f.Close())
	}
	return r, nil
}

func (r *run) load() (err error) {
	if r.size, err = r.file.Size(); err != nil {
		return err
	}
	if r.blocks, err = blockfile.Open(r.file, r.size); err != nil {
		return err
	}
	err = json.Unmarshal(r.blocks.Extra(), &r.about)
	lengths := slices.IndexFunc(r.about.Lengths, func(bits int) bool { return bits < 0 || bits > 128 }) < 0
	if err != nil || r.blocks.Sections() != sections || !lengths {
		return fmt.Errorf("%w: it is no run of a history", ErrCorrupt)
	}
	return nil
}

// wrap names the run in an error.
func (r *run) wrap(err error) error {
	if errors.Is(err, blockfile.ErrCorrupt) {
		return fmt.Errorf("%s: %w: %w", r.name, ErrCorrupt, err)
	}
	return fmt.Errorf("%s: %w", r.name, err)
}

func (r *run) retain() *run {
	r.users.Add(1)
	return r
}

func (r *run) release() error {
	if r.users.Add(-1) > 0 {
		return nil
	}
	return r.file.Close()
}

// between is a source of the run's records from from to to, both included; nil
// if there are none.
func (r *run) between(from, to blockfile.Position) (source[*record], error) {
	if r.about.LastKey < from.Major || to.Major < r.about.FirstKey {
		return nil, nil
	}
	s, err := newSection[*record](r, sectionRecords, &records{}, from, to)
	if err != nil || s.at == nil {
		return nil, err
	}
	return s, nil
}

// latest is the last record of a key at or before t; nil if there is none.
func (r *run) latest(key uint64, t stamp) (*record, error) {
	if t < r.about.First || key < r.about.FirstKey || r.about.LastKey < key || r.blocks.Blocks(sectionRecords) == 0 {
		return nil, nil
	}
	// The block behind this one begins behind t, so it is in this one.
	at := blockfile.Position{Major: key, Minor: uint64(t)}
	b, err := r.blocks.Block(sectionRecords, r.blocks.Seek(sectionRecords, at))
	if err != nil {
		return nil, r.wrap(err)
	}
	var in records
	var found record
	in.begin(b)
	for {
		next, err := in.next()
		switch {
		case err != nil:
			return nil, r.wrap(err)
		case next != nil && next.position().Compare(at) <= 0:
			if next.key == key {
				found = *next
			}
		case found.at() == 0:
			return nil, nil
		default:
			return &found, nil
		}
	}
}
