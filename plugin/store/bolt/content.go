package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.etcd.io/bbolt"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// table is one of the kinds of records. Numbers are in files.
type table uint8

const (
	leases table = iota // by store.AppendKey
	values              // by collection, a zero byte, and key
	outbox              // by sequence number, big-endian
	tables
)

// name is that of the table's bucket.
func (t table) name() []byte { return []byte([...]string{"leases", "values", "outbox"}[t]) }

// The bucket that says what the file is.
const (
	about     = "about"
	keyMagic  = "magic"
	magic     = "lw4o6 store"
	keySchema = "schema" // the number of the schema, 4 bytes
	keyTotals = "totals" // totals
	// keyRestored is there if the file was a backup: when it was put in place, in
	// seconds since 1970, 8 bytes.
	keyRestored = "restored"
)

// sumSize is the length of the checksum that ends every record.
const sumSize = 8

// seal appends the checksum to a record.
func seal(t table, key, record []byte) []byte {
	return binary.BigEndian.AppendUint64(record, checksum(t, key, record))
}

func checksum(t table, key, record []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	// The table and the length of the key keep records of other places apart.
	var place [5]byte
	place[0] = byte(t)
	binary.BigEndian.PutUint32(place[1:], uint32(len(key)))
	// Writing to a digest cannot fail.
	_, _ = d.Write(place[:])
	_, _ = d.Write(key)
	_, _ = d.Write(record)
	return d.Sum64()
}

// unseal checks and cuts off the checksum. The error wraps store.ErrCorrupt.
func unseal(t table, key, sealed []byte) (record []byte, sum uint64, err error) {
	if len(sealed) < sumSize {
		return nil, 0, fmt.Errorf("%w: record %x of %s has no checksum", store.ErrCorrupt, key, t.name())
	}
	record = sealed[:len(sealed)-sumSize]
	sum = sumOf(sealed)
	if sum != checksum(t, key, record) {
		return nil, 0, fmt.Errorf("%w: record %x of %s has another checksum", store.ErrCorrupt, key, t.name())
	}
	return record, sum, nil
}

// sumOf is the checksum that ends a record.
func sumOf(sealed []byte) uint64 {
	return binary.BigEndian.Uint64(sealed[len(sealed)-sumSize:])
}

// totals is what the whole file must have.
type totals struct {
	counts [tables]uint64 // records
	sum    uint64         // of their checksums, modulo 2^64
	last   uint64         // sequence number of an event
}

// numberNow is what events of a file that begins now are numbered from. Readers
// of the outbox may know events of a file before it; far fewer than a million
// come in a second, so the microseconds since 1970 are higher.
func numberNow() uint64 { return uint64(time.Now().UnixMicro()) }

const totalsSize = 8 * (int(tables) + 2)

func (t totals) append(b []byte) []byte {
	for _, n := range t.counts {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint64(b, t.sum)
	return binary.BigEndian.AppendUint64(b, t.last)
}

func parseTotals(b []byte) (totals, error) {
	if len(b) != totalsSize+sumSize || xxhash.Sum64(b[:totalsSize]) != sumOf(b) {
		return totals{}, fmt.Errorf("%w: its totals are not well-formed", store.ErrCorrupt)
	}
	var t totals
	for i := range t.counts {
		t.counts[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	t.sum = binary.BigEndian.Uint64(b[8*int(tables):])
	t.last = binary.BigEndian.Uint64(b[8*int(tables)+8:])
	return t, nil
}

// content is the records as one transaction sees them.
type content struct {
	about   *bbolt.Bucket
	buckets [tables]*bbolt.Bucket
	totals  totals
}

// contentOf finds the buckets. The error wraps store.ErrForeign or ErrCorrupt.
func contentOf(tx *bbolt.Tx) (*content, error) {
	c := &content{about: tx.Bucket([]byte(about))}
	if c.about == nil || !bytes.Equal(c.about.Get([]byte(keyMagic)), []byte(magic)) {
		return nil, store.ErrForeign
	}
	for t := range tables {
		c.buckets[t] = tx.Bucket(t.name())
		if c.buckets[t] == nil {
			return nil, fmt.Errorf("%w: %s are missing", store.ErrCorrupt, t.name())
		}
		// Most keys come in ascending order, so that few pages are split.
		c.buckets[t].FillPercent = 0.9
	}
	var err error
	c.totals, err = parseTotals(c.about.Get([]byte(keyTotals)))
	return c, err
}

// put adds or replaces a record that was sealed.
func (c *content) put(t table, key, sealed []byte) error {
	if old := c.buckets[t].Get(key); len(old) >= sumSize {
		c.totals.sum -= sumOf(old)
	} else {
		c.totals.counts[t]++
	}
	c.totals.sum += sumOf(sealed)
	return c.buckets[t].Put(key, sealed)
}

// delete removes a record, if there is one.
func (c *content) delete(t table, key []byte) error {
	old := c.buckets[t].Get(key)
	if len(old) < sumSize {
		return nil
	}
	c.totals.sum -= sumOf(old)
	c.totals.counts[t]--
	return c.buckets[t].Delete(key)
}

// addEvent puts an event behind the others.
func (c *content) addEvent(data []byte) error {
	c.totals.last++
	key := binary.BigEndian.AppendUint64(nil, c.totals.last)
	return c.put(outbox, key, seal(outbox, key, bytes.Clone(data)))
}

// dropEvents removes the events up to a number.
func (c *content) dropEvents(upTo uint64) error {
	for cursor := c.buckets[outbox].Cursor(); ; {
		key, sealed := cursor.First()
		if key == nil || binary.BigEndian.Uint64(key) > upTo {
			return nil
		}
		c.totals.sum -= sumOf(sealed)
		c.totals.counts[outbox]--
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
}

// markRestored notes when a backup was put in place.
func (c *content) markRestored(at time.Time) error {
	return c.about.Put([]byte(keyRestored), binary.BigEndian.AppendUint64(nil, uint64(at.Unix())))
}

// restored is when that was; zero if never. The error wraps store.ErrCorrupt.
func (c *content) restored() (time.Time, error) {
	switch b := c.about.Get([]byte(keyRestored)); len(b) {
	case 0:
		return time.Time{}, nil
	case 8:
		return time.Unix(int64(binary.BigEndian.Uint64(b)), 0), nil
	}
	return time.Time{}, fmt.Errorf("%w: when it was restored is not well-formed", store.ErrCorrupt)
}

// finish writes the totals.
func (c *content) finish() error {
	b := c.totals.append(make([]byte, 0, totalsSize+sumSize))
	return c.about.Put([]byte(keyTotals), binary.BigEndian.AppendUint64(b, xxhash.Sum64(b)))
}
