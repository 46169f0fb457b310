package announce

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// file keeps a memory on a disk.
type file struct {
	path string // empty: it keeps nothing

	mu      sync.Mutex
	written uint64 // the version that is there
}

// load returns what was written last; nothing if there is no file.
func (f *file) load() (memory, error) {
	var m memory
	if f.path == "" {
		return m, nil
	}
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return memory{}, fmt.Errorf("what the gate remembers (%s): %w; remove the file to forget drains and holds", f.path, err)
	}
	for name, r := range m.Pools {
		if r == nil {
			delete(m.Pools, name)
		}
	}
	return m, nil
}

// write makes data durable, unless a later version is there already.
func (f *file) write(version uint64, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" || version <= f.written {
		return nil
	}
	next, err := os.OpenFile(f.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = next.Write(data)
	if err := errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), f.path); err != nil {
		return err
	}
	f.written = version
	folder, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
