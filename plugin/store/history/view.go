package history

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
	"github.com/lwaftr/lw4o6/plugin/store/history/journal"
)

// View is what a history held at one moment. It may be used from several
// goroutines, and must be closed.
type View struct {
	runs   []*run // retained; the oldest first
	recent recent
	since  stamp
}

// openTries bounds how often a folder is read that its writer changes meanwhile.
const openTries = 20

// OpenView reads the history in a folder without disturbing the process that
// writes it, if there is one. The error wraps os.ErrNotExist if there is no
// history, or ErrCorrupt.
func OpenView(path string) (*View, error) {
	d := folder{path, os.O_RDONLY}
	var err error
	for range openTries {
		var v *View
		if v, err = readView(d); err == nil {
			return v, nil
		}
		// A file that the manifest names has been replaced since.
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
		if _, e := readManifest(d); e != nil {
			err = e
			break
		}
	}
	return nil, fmt.Errorf("history %s: %w", path, err)
}

func readView(d disk) (v *View, err error) {
	m, err := readManifest(d)
	if err != nil {
		return nil, err
	}
	v = &View{since: m.Since}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Close())
		}
	}()
	for _, n := range m.Runs {
		r, err := openRun(d, n)
		if err != nil {
			return v, err
		}
		v.runs = append(v.runs, r)
	}
	_, err = readJournal(d, m, func(e Event) { v.recent.add(e) })
	return v, err
}

// readJournal calls each with the events of the journal and returns how many of
// its bytes are good. The error wraps ErrCorrupt unless reading failed.
func readJournal(d disk, m manifest, each func(Event)) (good int, err error) {
	name := journalName(m.Journal)
	b, err := readFile(d, name, maxJournal+journal.MaxPayload)
	if err != nil {
		return 0, err
	}
	last := m.Sequence
	good, err = journal.Read(string(b), func(payload string) error {
		return parseEvents(payload, func(e Event) error {
			if e.Sequence <= last {
				return fmt.Errorf("%w: event %d behind event %d", ErrCorrupt, e.Sequence, last)
			}
			last = e.Sequence
			each(e)
			return nil
		})
	})
	if errors.Is(err, journal.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return good, nil
}

// Close gives back the files.
func (v *View) Close() error {
	var errs []error
	for _, r := range v.runs {
		errs = append(errs, r.release())
	}
	v.runs = nil
	return errors.Join(errs...)
}

// Since is from when on the history is complete: the time of its first event,
// or as far back as is kept. It is the zero Time while there is no event.
func (v *View) Since() time.Time { return v.sinceStamp().time() }

func (v *View) sinceStamp() stamp {
	if v.since == 0 && v.recent.len() > 0 {
		return v.recent.records[0].at()
	}
	return v.since
}

// params are all that port sets have.
func (v *View) params() []portset.Params {
	all := slices.Clone(v.recent.params)
	for _, r := range v.runs {
		for _, p := range r.about.Params {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// between are the records from from to to, both included.
func (v *View) between(from, to blockfile.Position) (*merged[*record], error) {
	var all merged[*record]
	for _, r := range v.runs {
		s, err := r.between(from, to)
		if err != nil {
			return nil, err
		}
		if s != nil {
			all.sources = append(all.sources, s)
		}
	}
	if rest := v.recent.between(from, to); len(rest) > 0 {
		all.sources = append(all.sources, &slice[*record]{rest})
	}
	return &all, nil
}
