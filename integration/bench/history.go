package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// history measures who held a port when, in a history of years.
func (s scale) history(context.Context) ([]spec, func() error, error) {
	dir, err := os.MkdirTemp("", "lw4o6-bench-")
	if err != nil {
		return nil, nil, err
	}
	h := &pastRig{dir: dir, holds: s.holds, queries: s.queries}
	const cached, disk = "read of 16 KiB, cached", "read of 16 KiB from disk"
	specs := []spec{
		{name: "history-holds", unit: "millions", ours: h.count},
		{name: "history-import", unit: "holds/s", ours: h.built},
		{name: "history-size", unit: "bytes/hold", ours: h.bytes},
		{name: "history-memory", unit: "MiB", ours: h.memory},
		{name: "history-append", unit: "events/s", ours: h.appended, peer: "the same bytes, fsynced", theirs: h.plainAppend},
		{name: "who-p50", unit: "us", ours: h.who(warm, 0.5), peer: cached, theirs: h.plainRead(warm, 0.5)},
		{name: "who-p99", unit: "us", ours: h.who(warm, 0.99), peer: cached, theirs: h.plainRead(warm, 0.99)},
		{name: "who-max", unit: "us", ours: h.who(warm, 1)},
		{name: "who-cold-p50", unit: "us", ours: h.who(cold, 0.5), peer: disk, theirs: h.plainRead(cold, 0.5)},
		{name: "who-cold-p99", unit: "us", ours: h.who(cold, 0.99), peer: disk, theirs: h.plainRead(cold, 0.99)},
		{name: "who-cold-max", unit: "us", ours: h.who(cold, 1)},
	}
	for i := range specs {
		specs[i].once = true
		measured := specs[i].ours
		specs[i].ours = func(ctx context.Context) (float64, error) {
			// It takes long, and nobody may want it.
			if err := h.build(ctx); err != nil {
				return 0, err
			}
			return measured(ctx)
		}
	}
	return specs, h.close, nil
}

// pastRig is a history with a past.
type pastRig struct {
	dir     string
	holds   int
	queries int // of one measurement
	log     *history.Log
	past    past
	took    time.Duration // to build it
	heap    float64       // octets that it takes
	events  int           // appended so far
	files   []*os.File    // of it
	sizes   []int64
	// whos and reads are the microseconds that queries and plain reads took,
	// ascending.
	whos, reads [2][]float64
}

// caching says where what is read comes from.
type caching int

const (
	warm caching = iota // the page cache
	cold                // the disk
)

// build makes the history, if it was not made yet. The runs have the sizes at
// which there are most of them: with one more of any size, they would be merged.
func (h *pastRig) build(ctx context.Context) (err error) {
	if h.log != nil {
		return nil
	}
	n, err := h.affordable()
	if err != nil {
		return err
	}
	before := heap()
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	if h.log, err = history.Open(filepath.Join(h.dir, "history"), history.Config{}, quiet); err != nil {
		return err
	}
	start := time.Now()
	for _, p := range h.past.split(n) {
		if err := h.log.Import(ctx, p.holds); err != nil {
			return err
		}
	}
	h.took = time.Since(start)
	h.heap = heap() - before
	return h.openFiles()
}

// affordable is how many holds take no more than half of what is free of the
// disk.
func (h *pastRig) affordable() (int, error) {
	const octets = 64 // of a hold, at most
	var s unix.Statfs_t
	if err := unix.Statfs(h.dir, &s); err != nil {
		return 0, fmt.Errorf("space in %s: %w", h.dir, err)
	}
	return min(h.holds, int(s.Bavail)*int(s.Bsize)/2/octets), nil
}

func (h *pastRig) openFiles() error {
	paths, err := filepath.Glob(filepath.Join(h.dir, "history", "run-*"))
	if err != nil || len(paths) == 0 {
		return errors.Join(errors.New("the history has no files"), err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		h.files = append(h.files, f)
		info, err := f.Stat()
		if err != nil {
			return err
		}
		h.sizes = append(h.sizes, info.Size())
	}
	return nil
}

func (h *pastRig) close() error {
	var errs []error
	if h.log != nil {
		errs = append(errs, h.log.Close())
	}
	for _, f := range h.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(h.dir))...)
}

func (h *pastRig) count(context.Context) (float64, error) {
	return float64(h.log.Stats().Records) / 1e6, nil
}

func (h *pastRig) built(context.Context) (float64, error) {
	return float64(h.log.Stats().Records) / h.took.Seconds(), nil
}

func (h *pastRig) bytes(context.Context) (float64, error) {
	stats := h.log.Stats()
	return float64(stats.Bytes) / float64(stats.Records), nil
}

func (h *pastRig) memory(context.Context) (float64, error) { return h.heap / (1 << 20), nil }

const (
	appendBatch = 1024 // events
	appends     = 60   // batches: the journal is almost full then
)

// appended measures events per second that become durable, by batches.
func (h *pastRig) appended(ctx context.Context) (float64, error) {
	start := time.Now()
	for range appends {
		if err := h.log.Append(ctx, h.past.later(h.events, appendBatch)); err != nil {
			return 0, err
		}
		h.events += appendBatch
	}
	return appends * appendBatch / time.Since(start).Seconds(), nil
}

// plainAppend measures the same for a file that nothing else is done with.
func (h *pastRig) plainAppend(context.Context) (_ float64, err error) {
	var payload []byte
	for _, e := range h.past.later(h.events, appendBatch) {
		if payload, err = e.AppendBinary(payload); err != nil {
			return 0, err
		}
	}
	f, err := os.Create(filepath.Join(h.dir, "plain"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	start := time.Now()
	for range appends {
		if _, err := f.Write(payload); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return appends * appendBatch / time.Since(start).Seconds(), nil
}

// who is the microseconds below which a share of the queries is answered.
func (h *pastRig) who(from caching, share float64) measure {
	return h.quantile(&h.whos[from], from, share, h.ask)
}

// ask asks one question and checks the answer.
func (h *pastRig) ask(ctx context.Context, r *rand.Rand) (time.Duration, error) {
	q := h.past.question(r)
	v := h.log.View()
	start := time.Now()
	got, ok, err := v.Who(ctx, q.ip, q.port, q.at)
	took := time.Since(start)
	if err = errors.Join(err, v.Close()); err != nil {
		return 0, err
	}
	if ok != q.held || ok && (got.Subscriber != q.subscriber || !got.Start.Time.Equal(q.start)) {
		return 0, fmt.Errorf("%s port %d at %s: got %+v, want %+v", q.ip, q.port, q.at, got, q)
	}
	return took, nil
}

// plainRead is the same for reading one block at a random place.
func (h *pastRig) plainRead(from caching, share float64) measure {
	b := make([]byte, 16<<10)
	return h.quantile(&h.reads[from], from, share, func(_ context.Context, r *rand.Rand) (time.Duration, error) {
		at := r.Int64N(max(1, h.sizes[0]-int64(len(b))))
		start := time.Now()
		_, err := h.files[0].ReadAt(b, at)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return time.Since(start), err
	})
}

// quantile is the microseconds in which a share of samples was done. The samples
// are taken once.
func (h *pastRig) quantile(samples *[]float64, from caching, share float64, one func(context.Context, *rand.Rand) (time.Duration, error)) measure {
	return func(ctx context.Context) (_ float64, err error) {
		if *samples == nil {
			if *samples, err = h.sample(ctx, from, one); err != nil {
				return 0, err
			}
		}
		all := *samples
		return all[min(len(all)-1, int(share*float64(len(all))))], nil
	}
}

// sample does one again and again. If the caches are to be warm, all that was
// done once before.
func (h *pastRig) sample(ctx context.Context, from caching, one func(context.Context, *rand.Rand) (time.Duration, error)) (all []float64, err error) {
	const seed = 1
	rounds := 1
	if from == warm {
		rounds = 2
	}
	for range rounds {
		r := rand.New(rand.NewPCG(seed, seed))
		all = all[:0]
		for range h.queries {
			if from == cold {
				if err := h.forget(); err != nil {
					return nil, err
				}
			}
			took, err := one(ctx, r)
			if err != nil {
				return nil, err
			}
			all = append(all, float64(took.Nanoseconds())/1000)
		}
	}
	slices.Sort(all)
	return all, nil
}

// forget takes the history's files out of the page cache.
func (h *pastRig) forget() error {
	for _, f := range h.files {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return fmt.Errorf("%s: leaving the page cache: %w", f.Name(), err)
		}
	}
	return nil
}
