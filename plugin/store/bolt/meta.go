package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// The first two pages of a file of bbolt hold, behind the page header, 56 bytes
// about a transaction and their FNV-1a sum in 8.
const (
	metaPages = 2
	metaSize  = 56
	metaEnd   = pageHeader + metaSize + 8
)

// checkMetas refuses what bbolt would take for the remains of a crash: it goes
// back to the transaction before when one of the meta pages is damaged, and that
// may lose an acknowledged one. A crash damages none, because what counts is in
// one sector. A page that was struck out has zeros. The error wraps
// store.ErrCorrupt.
func checkMetas(file io.ReaderAt, pageSize int) error {
	for i := range metaPages {
		var page [metaEnd]byte
		if _, err := file.ReadAt(page[:], int64(i)*int64(pageSize)); err != nil {
			return err
		}
		sum := fnv.New64a()
		_, _ = sum.Write(page[pageHeader : pageHeader+metaSize]) // cannot fail
		if page != [metaEnd]byte{} && sum.Sum64() != binary.NativeEndian.Uint64(page[pageHeader+metaSize:]) {
			return fmt.Errorf("%w: its meta page %d is", store.ErrCorrupt, i)
		}
	}
	return nil
}
