package history

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// endAll ends what lasts in the world.
func (w *world) endAll() {
	for key, i := range w.open {
		w.now = w.now.Add(time.Second)
		e := Event{Sequence: w.events[len(w.events)-1].Sequence + 1, Time: w.now, Kind: Expired, Key: key, Holder: w.holds[i].Holder}
		w.take(e)
	}
}

func TestImport(t *testing.T) {
	w := newTestWorld(t)
	l := openFolder(t, t.TempDir(), Config{})
	defer closeAll(t, l)
	for range 3 {
		from := len(w.holds)
		for range 1000 {
			w.step()
		}
		w.endAll()
		added := &world{holds: w.holds[from:]}
		holds := added.list(time.Time{}, func(Hold) bool { return true })
		if err := l.Import(t.Context(), slices.Values(holds)); err != nil {
			t.Fatal(err)
		}
		fill(t, l, w, 100)
		w.endAll()
		if err := l.Append(t.Context(), w.events); err != nil {
			t.Fatal(err)
		}
		v := l.View()
		w.compare(t, v, 100)
		closeAll(t, v)
	}
	tidyAll(t, l)
	v := l.View()
	defer closeAll(t, v)
	if w.compare(t, v, 300) == 0 {
		t.Error("nothing was found")
	}
}

func TestImportRefuses(t *testing.T) {
	l := openFolder(t, t.TempDir(), Config{})
	defer closeAll(t, l)
	w := newTestWorld(t)
	fill(t, l, w, 100)
	last := stampOf(w.now)
	good := Hold{Key: allocated().Key, Holder: allocated().Holder, Start: Edge{Time: last.time(), Kind: Allocated}, End: Edge{Time: (last + 9).time(), Kind: Expired}}
	with := func(change func(*Hold)) Hold {
		h := good
		change(&h)
		return h
	}
	before := l.Stats()
	for name, holds := range map[string][]Hold{
		"too early":      {with(func(h *Hold) { h.Start.Time = (last - 1).time() })},
		"no end":         {with(func(h *Hold) { h.End = Edge{} })},
		"ends before":    {with(func(h *Hold) { h.Start.Time = (last + 10).time() })},
		"begins by end":  {with(func(h *Hold) { h.Start.Kind = Released })},
		"no BR":          {with(func(h *Hold) { h.BR = h.Key.IPv4 })},
		"overlap":        {good, good},
		"out of order":   {good, with(func(h *Hold) { h.Key.IPv4 = h.Key.IPv4.Prev() })},
		"good, then bad": {good, with(func(h *Hold) { h.Key.IPv4 = h.BR })},
	} {
		if err := l.Import(t.Context(), slices.Values(holds)); !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v", name, err)
		}
		after := l.Stats()
		after.Runs, after.Records, after.Bytes, after.Journal = before.Runs, before.Records, before.Bytes, before.Journal
		if after != before {
			t.Errorf("%s: %+v, before %+v", name, after, before)
		}
	}
	v := l.View()
	defer closeAll(t, v)
	w.compare(t, v, 50)
}
