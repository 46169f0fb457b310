package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"go.etcd.io/bbolt"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// A page of bbolt, in the byte order of the machine, begins with its id in 8
// bytes, flags in 2, the number of elements in 2, and the number of pages that
// it goes on for in 4. The elements follow. They say where their key is, counted
// from their own start: in a branch position 4, key size 4, page id 8; in a leaf
// flags 4, position 4, key size 4, value size 4.
//
// The value of an element with the bucket flag is a bucket: the id of its page in
// 8 bytes, a number in 8, and if the id is zero, the page itself.
const (
	pageHeader   = 16
	element      = 16
	branchFlag   = 1
	leafFlag     = 2
	bucketFlag   = 1
	bucketHeader = 16
)

// pageCheck walks the trees of a file. bbolt trusts that they are trees and in
// order: it would walk in a circle for ever, and end the process over a page that
// is in two places.
type pageCheck struct {
	file io.ReaderAt
	size int // of a page
	seen []bool
}

// checkPages checks that every page is reached once, and that all keys are where
// they are looked for. The error wraps store.ErrCorrupt.
func checkPages(file io.ReaderAt, pageSize int, tx *bbolt.Tx) error {
	c := pageCheck{file: file, size: pageSize, seen: make([]bool, tx.Size()/int64(pageSize))}
	for i := range metaPages {
		c.seen[i] = true
	}
	if err := c.walk(uint64(tx.Cursor().Bucket().Root()), nil, nil); err != nil {
		return err
	}
	return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
		if b == nil || b.Root() == 0 {
			return nil // no bucket, or inside the page of its parent
		}
		return c.walk(uint64(b.Root()), nil, nil)
	})
}

// walk checks the tree below a page, whose keys are at least low and, unless
// high is nil, below it.
func (c *pageCheck) walk(id uint64, low, high []byte) error {
	page, err := c.read(id)
	if err != nil {
		return err
	}
	keys, err := checkElements(id, page, low, high)
	if err != nil || flagsOf(page) == leafFlag {
		return err
	}
	keys = append(keys, high)
	for i := range len(keys) - 1 {
		child := binary.NativeEndian.Uint64(page[pageHeader+i*element+8:])
		if err := c.walk(child, keys[i], keys[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// checkElements checks what is on a page and returns its keys.
func checkElements(id uint64, page, low, high []byte) (keys [][]byte, err error) {
	for i := range int(binary.NativeEndian.Uint16(page[10:])) {
		key, bucket, ok := parseElement(page, i)
		if !ok || bytes.Compare(key, low) < 0 || i > 0 && bytes.Equal(key, low) || high != nil && bytes.Compare(key, high) >= 0 {
			return nil, fmt.Errorf("%w: key %d of page %d is not in its place", store.ErrCorrupt, i, id)
		}
		if err := checkInline(id, bucket); err != nil {
			return nil, err
		}
		low = key
		keys = append(keys, key)
	}
	return keys, nil
}

// checkInline checks the page that a small bucket is, on another page; bucket is
// nil for what is none.
func checkInline(id uint64, bucket []byte) error {
	if bucket == nil {
		return nil
	}
	corrupt := fmt.Errorf("%w: a bucket on page %d is not well-formed", store.ErrCorrupt, id)
	if len(bucket) < bucketHeader {
		return corrupt
	}
	if binary.NativeEndian.Uint64(bucket) != 0 {
		return nil // it has pages of its own
	}
	page := bucket[bucketHeader:]
	if len(page) < pageHeader || flagsOf(page) != leafFlag {
		return corrupt
	}
	_, err := checkElements(id, page, nil, nil)
	return err
}

func flagsOf(page []byte) uint16 { return binary.NativeEndian.Uint16(page[8:]) }

// read returns a page with those that it goes on for.
func (c *pageCheck) read(id uint64) ([]byte, error) {
	corrupt := fmt.Errorf("%w: a wrong way leads to page %d", store.ErrCorrupt, id)
	pages := uint64(len(c.seen))
	if id >= pages {
		return nil, corrupt
	}
	at := int64(id) * int64(c.size)
	var header [pageHeader]byte
	if _, err := c.file.ReadAt(header[:], at); err != nil {
		return nil, err
	}
	flags, more := flagsOf(header[:]), uint64(binary.NativeEndian.Uint32(header[12:]))
	if binary.NativeEndian.Uint64(header[:]) != id || flags != branchFlag && flags != leafFlag || more >= pages-id {
		return nil, corrupt
	}
	for n := id; n <= id+more; n++ {
		if c.seen[n] {
			return nil, corrupt
		}
		c.seen[n] = true
	}
	page := make([]byte, int(more+1)*c.size)
	_, err := c.file.ReadAt(page, at)
	return page, err
}

// parseElement is the key of the i-th element of a page, and its value if that is
// a bucket. It reports false if any of that lies outside.
func parseElement(page []byte, i int) (key, bucket []byte, ok bool) {
	if pageHeader+(i+1)*element > len(page) {
		return nil, nil, false
	}
	e := page[pageHeader+i*element:]
	field := func(n int) uint64 { return uint64(binary.NativeEndian.Uint32(e[4*n:])) }
	if flagsOf(page) == branchFlag {
		at, size := field(0), field(1)
		if at+size > uint64(len(e)) {
			return nil, nil, false
		}
		return e[at : at+size], nil, true
	}
	flags, at, keySize, valueSize := field(0), field(1), field(2), field(3)
	value := at + keySize
	if value+valueSize > uint64(len(e)) {
		return nil, nil, false
	}
	if flags&bucketFlag != 0 {
		bucket = e[value : value+valueSize : value+valueSize]
	}
	return e[at:value], bucket, true
}
