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
const (
	pageHeader = 16
	element    = 16
	branchFlag = 1
	leafFlag   = 2
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
	branch := binary.NativeEndian.Uint16(page[8:]) == branchFlag
	count := int(binary.NativeEndian.Uint16(page[10:]))
	keys := make([][]byte, 0, count+1)
	for i := range count {
		key, ok := keyOf(page[pageHeader:], i, branch)
		if !ok || bytes.Compare(key, low) < 0 || i > 0 && bytes.Equal(key, low) || high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("%w: key %d of page %d is not in its place", store.ErrCorrupt, i, id)
		}
		low = key
		keys = append(keys, key)
	}
	if !branch {
		return nil
	}
	keys = append(keys, high)
	for i := range count {
		child := binary.NativeEndian.Uint64(page[pageHeader+i*element+8:])
		if err := c.walk(child, keys[i], keys[i+1]); err != nil {
			return err
		}
	}
	return nil
}

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
	flags, more := binary.NativeEndian.Uint16(header[8:]), uint64(binary.NativeEndian.Uint32(header[12:]))
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

// keyOf is the key of the i-th of elements, which other elements, keys and
// values follow. It reports false if any of that lies outside.
func keyOf(elements []byte, i int, branch bool) (key []byte, ok bool) {
	if (i+1)*element > len(elements) {
		return nil, false
	}
	e := elements[i*element:]
	at, keySize, valueSize := uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:])), uint64(0)
	if !branch {
		at, keySize = keySize, uint64(binary.NativeEndian.Uint32(e[8:]))
		valueSize = uint64(binary.NativeEndian.Uint32(e[12:]))
	}
	if at+keySize+valueSize > uint64(len(e)) {
		return nil, false
	}
	return e[at : at+keySize], true
}
