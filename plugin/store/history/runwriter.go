package history

import (
	"encoding/json"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// runWriter writes a run: all its records, then all its claims, then the end.
type runWriter struct {
	file  file
	out   *blockfile.Writer
	about about

	record  record // the last one
	claim   claim  // the last one
	lengths [129]bool
}

func newRunWriter(f file, events uint64) *runWriter {
	return &runWriter{file: f, out: blockfile.NewWriter(f), about: about{Events: events}}
}

// addRecord adds a record, which stands behind the last one.
func (w *runWriter) addRecord(r *record) error {
	first, err := w.out.Next(r.position())
	if err != nil {
		return err
	}
	if first {
		w.record = record{}
	}
	w.out.Block = appendRecord(w.out.Block, r, &w.record)
	w.record = *r
	w.note(r)
	return nil
}

// note keeps what is known of the whole run.
func (w *runWriter) note(r *record) {
	a := &w.about
	if a.Records == 0 {
		a.First, a.FirstKey = r.at(), r.key
	}
	a.Records++
	a.First = min(a.First, r.at())
	a.Last = max(a.Last, r.start.at, r.end.at)
	a.LastKey = r.key
	w.lengths[r.Subscriber.Bits()] = true
	if k, ok := unpackKey(r.key); ok && (len(a.Params) == 0 || a.Params[len(a.Params)-1] != k.PortSet.Params()) {
		if p := k.PortSet.Params(); !slices.Contains(a.Params, p) {
			a.Params = append(a.Params, p)
		}
	}
}

// addClaim adds a claim, which stands behind the last one. No record follows.
func (w *runWriter) addClaim(c *claim) error {
	if w.about.Claims == 0 {
		w.out.Section()
	}
	first, err := w.out.Next(c.position())
	if err != nil {
		return err
	}
	if first {
		w.claim = claim{}
	}
	w.out.Block = appendClaim(w.out.Block, c, &w.claim)
	w.claim = *c
	w.about.Claims++
	return nil
}

// finish writes the end and makes the file durable.
func (w *runWriter) finish() error {
	if w.about.Claims == 0 {
		w.out.Section()
	}
	for bits, ok := range w.lengths {
		if ok {
			w.about.Lengths = append(w.about.Lengths, bits)
		}
	}
	extra, err := json.Marshal(w.about)
	if err != nil {
		return err
	}
	if err := w.out.Finish(extra); err != nil {
		return err
	}
	return w.file.Sync()
}
