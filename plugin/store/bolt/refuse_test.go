package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/lwaftr/lw4o6/plugin/store"
)

func TestRefuse(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	db, err := bbolt.Open(other, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	otherBytes, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		content []byte
		want    error
	}{
		"empty":              {nil, store.ErrTruncated},
		"one byte":           {[]byte{0}, store.ErrForeign},
		"text":               {[]byte("leases:\n"), store.ErrForeign},
		"much text":          {bytes.Repeat([]byte("leases:\n"), 10_000), store.ErrForeign},
		"zeros":              {make([]byte, 1<<16), store.ErrForeign},
		"database of others": {otherBytes, store.ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			if err := os.WriteFile(path, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, path, test.want)
		})
	}
	t.Run("folder", func(t *testing.T) {
		if _, err := Open(t.TempDir()); !errors.Is(err, store.ErrForeign) {
			t.Errorf("Open: %v, want ErrForeign", err)
		}
	})
	t.Run("no folder", func(t *testing.T) {
		if _, err := Open(filepath.Join(t.TempDir(), "missing", "store")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Open: %v, want ErrNotExist", err)
		}
	})
}

// refused checks that Open refuses the file at path and does not change it.
func refused(t *testing.T, path string, want error) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err == nil {
		t.Errorf("Open succeeded, want %v", want)
		_ = s.Close()
	} else if !errors.Is(err, want) {
		t.Errorf("Open: %v, want %v", err, want)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed, %v", err)
	}
}

func TestRefuseSecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	want := filled(t, path)
	s := mustOpen(t, path)
	if _, err := Open(path); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Open: %v, want ErrLocked", err)
	}
	checkLeases(t, s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, path).Close(); err != nil {
		t.Error(err)
	}
}

func TestRefuseTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	filled(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := usedBytes(t, path)
	for size := 0; size < used; size += 512 {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		switch {
		case err == nil:
			t.Errorf("%d of %d bytes: Open succeeded", size, used)
			_ = s.Close()
		case !errors.Is(err, store.ErrTruncated) && !errors.Is(err, store.ErrForeign):
			t.Errorf("%d of %d bytes: %v", size, used, err)
		}
	}
	// Bytes behind the last page are for the file to grow into.
	if err := os.WriteFile(path, whole[:used], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, path).Close(); err != nil {
		t.Error(err)
	}
}

// usedBytes is how many bytes of the file at path have pages.
func usedBytes(t *testing.T, path string) int {
	t.Helper()
	f, err := openDB(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.db.Close()
	var used int
	if err := f.db.View(func(tx *bbolt.Tx) error {
		used = int(tx.Size())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return used
}

// Whichever bits are wrong, the store is refused, or they did not matter.
func TestRefuseDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	want := filled(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:usedBytes(t, path)]
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var places []int
	const page = 4096
	for start := 0; start < len(whole); start += page {
		// Where the structure is, each byte; elsewhere some.
		for i := range 64 {
			places = append(places, start+i)
		}
		for range 20 {
			places = append(places, start+r.IntN(page))
		}
	}
	refusals := 0
	for _, at := range places {
		damaged := slices.Clone(whole)
		damaged[at] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err == nil {
			if got := all(t, s); !maps.Equal(got, want) {
				t.Errorf("byte %d: opened with %d leases, want %d", at, len(got), len(want))
			}
			_ = s.Close()
			continue
		}
		refusals++
		if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrForeign) && !errors.Is(err, store.ErrTruncated) && !errors.Is(err, store.ErrSchema) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	t.Logf("%d of %d damaged files refused", refusals, len(places))
	if refusals < len(places)/10 {
		t.Errorf("%d of %d damaged files refused", refusals, len(places))
	}
}

func TestSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	want := filled(t, path)
	broken := errors.New("broken")
	later := func(err error) schema {
		return schema{migrations: []func(*content) error{
			func(c *content) error {
				return c.put(values, valueKey("new", "a"), seal(values, valueKey("new", "a"), []byte("1")))
			},
			func(c *content) error { return errors.Join(c.delete(values, valueKey("clock", "0")), err) },
		}}
	}

	// One that fails changes nothing.
	if _, err := open(path, later(broken)); !errors.Is(err, broken) {
		t.Errorf("open: %v, want that of the migration", err)
	}
	s := mustOpen(t, path)
	checkLeases(t, s, want)
	if got := collected(t, s, "new"); len(got) != 0 {
		t.Errorf("after a migration that failed there is %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	for range 2 { // the second time there is nothing to do
		s, err := open(path, later(nil))
		if err != nil {
			t.Fatal(err)
		}
		checkLeases(t, s, want)
		if got := collected(t, s, "new"); got["a"] != "1" {
			t.Errorf("after the migration there is %v", got)
		}
		if got := collected(t, s, "clock"); len(got) != 3 {
			t.Errorf("after the migration there is %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, path, store.ErrSchema)
}

func collected(t *testing.T, s *Store, collection string) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for v, err := range s.Values(t.Context(), collection) {
		if err != nil {
			t.Fatal(err)
		}
		got[v.Key] = string(v.Data)
	}
	return got
}

// A tree that is no tree must not be walked for ever.
func TestRefuseCircle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	filled(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for start := 2 * 4096; start < usedBytes(t, path); start += 4096 {
		if binary.NativeEndian.Uint16(whole[start+8:]) != branchFlag {
			continue
		}
		found++
		circle := slices.Clone(whole)
		// The first child of the page is the page.
		copy(circle[start+pageHeader+8:], circle[start:start+8])
		if err := os.WriteFile(path, circle, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(path); err == nil {
			_ = s.Close() // the page is of an older transaction
			found--
		} else if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("Open: %v, want ErrCorrupt", err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Error("no branch page was found")
	}
}
