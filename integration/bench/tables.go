package main

import (
	"context"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// fillTable measures the seconds to put everything into an empty table.
func fillTable(all []softwire.Softwire) measure {
	return func(context.Context) (float64, error) {
		start := time.Now()
		err := softwire.NewTable().Apply(softwire.Change{Put: all})
		return time.Since(start).Seconds(), err
	}
}

func fillMap(all []softwire.Softwire) measure {
	return func(context.Context) (float64, error) {
		start := time.Now()
		newPlainMap(all)
		return time.Since(start).Seconds(), nil
	}
}

// smallBatch is the changes in one.
const smallBatch = 16

// batches measures batches per second in which lwB4s of a full table move,
// each batch being there for readers at once.
func (s scale) batches(all []softwire.Softwire) measure {
	return func(ctx context.Context) (float64, error) {
		table := softwire.NewTable()
		if err := table.Apply(softwire.Change{Put: all}); err != nil {
			return 0, err
		}
		put := make([]softwire.Softwire, smallBatch)
		start := time.Now()
		for i := range s.smallBatches {
			for j := range put {
				put[j] = moved(all, i*smallBatch+j)
			}
			if err := table.Apply(softwire.Change{Put: put}); err != nil {
				return 0, err
			}
		}
		return float64(s.smallBatches) / time.Since(start).Seconds(), ctx.Err()
	}
}

func (s scale) mapBatches(all []softwire.Softwire) measure {
	return func(ctx context.Context) (float64, error) {
		m := newPlainMap(all)
		start := time.Now()
		for i := range s.smallBatches {
			for j := range smallBatch {
				s := moved(all, i*smallBatch+j)
				m.ends[plainKey{s.IPv4.As4(), s.PortSet.PSID()}] = plainEnd{s.B4.As16(), s.BR.As16()}
			}
		}
		return float64(s.smallBatches) / time.Since(start).Seconds(), ctx.Err()
	}
}

// moved is the n-th change: a softwire from anywhere in the table, with another
// lwB4 address.
func moved(all []softwire.Softwire, n int) softwire.Softwire {
	const stride = 7919 // a prime, so that neighbours in time are not neighbours in the table
	s := all[n*stride%len(all)]
	s.B4 = s.B4.Next()
	return s
}
