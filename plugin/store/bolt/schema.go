package bolt

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// schema says how this version of the program lays out a file.
type schema struct {
	// migrations[i] makes a file of number i+2 out of one of number i+1. They are
	// all done in one transaction.
	migrations []func(c *content) error
}

// present is what Open uses.
func present() schema { return schema{} }

// number is the newest schema that is known. The first is 1.
func (s schema) number() uint32 { return uint32(len(s.migrations)) + 1 }

// of reads the number of a file. The error wraps store.ErrSchema or ErrCorrupt.
func (s schema) of(c *content) (uint32, error) {
	b := c.about.Get([]byte(keySchema))
	if len(b) != 4 || binary.BigEndian.Uint32(b) == 0 {
		return 0, fmt.Errorf("%w: the number of its schema is not well-formed", store.ErrCorrupt)
	}
	number := binary.BigEndian.Uint32(b)
	if number > s.number() {
		return 0, fmt.Errorf("%w: schema %d, this one knows up to %d", store.ErrSchema, number, s.number())
	}
	return number, nil
}

// migrate brings the file up to the newest schema.
func (s schema) migrate(db *bbolt.DB) error {
	return db.Update(func(tx *bbolt.Tx) error {
		c, err := contentOf(tx)
		if err != nil {
			return err
		}
		from, err := s.of(c)
		if err != nil {
			return err
		}
		for n := from; n < s.number(); n++ {
			if err := s.migrations[n-1](c); err != nil {
				return fmt.Errorf("bring schema %d to %d: %w", n, n+1, err)
			}
		}
		if err := c.about.Put([]byte(keySchema), binary.BigEndian.AppendUint32(nil, s.number())); err != nil {
			return err
		}
		return c.finish()
	})
}

// initialize makes a store of an empty file.
func (s schema) initialize(db *bbolt.DB) error {
	return db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte(about))
		if err != nil {
			return err
		}
		if err := b.Put([]byte(keyMagic), []byte(magic)); err != nil {
			return err
		}
		if err := b.Put([]byte(keySchema), binary.BigEndian.AppendUint32(nil, s.number())); err != nil {
			return err
		}
		for t := range tables {
			if _, err := tx.CreateBucket(t.name()); err != nil {
				return err
			}
		}
		return (&content{about: b, totals: totals{last: numberNow()}}).finish()
	})
}
