package bolt

import (
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// checked is what check found.
type checked struct {
	schema uint32
	totals totals
}

// check reads the whole file and says whether it has exactly what was committed.
// It changes nothing. The error wraps one of package store.
func check(path string, s schema) (found checked, err error) {
	f, err := openDB(path, true)
	if err != nil {
		return checked{}, err
	}
	defer f.db.Close()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", store.ErrCorrupt, r)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	info, err := f.os.Stat()
	if err != nil {
		return checked{}, err
	}
	err = f.db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: %d of %d bytes are there", store.ErrTruncated, info.Size(), tx.Size())
		}
		if err := checkMetas(f.os, f.db.Info().PageSize); err != nil {
			return err
		}
		if err := checkPages(f.os, f.db.Info().PageSize, tx); err != nil {
			return err
		}
		c, err := contentOf(tx)
		if err != nil {
			return err
		}
		if found.schema, err = s.of(c); err != nil {
			return err
		}
		found.totals = c.totals
		return c.check()
	})
	return found, err
}

// check compares all records with the totals.
func (c *content) check() error {
	var got totals
	got.last = c.totals.last
	for t, bucket := range c.buckets {
		cursor := bucket.Cursor()
		for key, sealed := cursor.First(); key != nil; key, sealed = cursor.Next() {
			_, sum, err := unseal(table(t), key, sealed)
			if err != nil {
				return err
			}
			got.counts[t]++
			got.sum += sum
		}
	}
	if got != c.totals {
		return fmt.Errorf("%w: records are missing, or were added: it has %v of leases, values and events, and should have %v",
			store.ErrCorrupt, got.counts, c.totals.counts)
	}
	return nil
}
