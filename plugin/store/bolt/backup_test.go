package bolt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// backUp is a backup of the store at path.
func backUp(t testing.TB, path string) []byte {
	t.Helper()
	s := mustOpen(t, path)
	defer s.Close()
	var b bytes.Buffer
	if err := s.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBackupRestore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store")
	want := filled(t, path)
	backup := backUp(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string][]byte{"missing": nil, "damaged": []byte("rubbish"), "there": whole} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			if before != nil {
				if err := os.WriteFile(path, before, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// In small pieces, as from a network.
			if err := Restore(t.Context(), path, littleByLittle{bytes.NewReader(backup)}); err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t, path)
			defer s.Close()
			checkLeases(t, s, want)
			if at, err := s.Restored(); err != nil || time.Since(at) > time.Minute {
				t.Errorf("restored %s, %v", at, err)
			}
			if got := collected(t, s, "clock"); len(got) != 4 {
				t.Errorf("values: %v", got)
			}
			if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
				t.Errorf("the folder has %v, %v", names, err)
			}
		})
	}
}

// littleByLittle reads little at a time.
type littleByLittle struct{ r io.Reader }

func (l littleByLittle) Read(b []byte) (int, error) { return l.r.Read(b[:min(len(b), 13)]) }

// Events after a restore have numbers that no event had before.
func TestRestoreNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	filled(t, path)
	backup := backUp(t, path)
	var last uint64
	for range 3 {
		s := mustOpen(t, path)
		if at, err := s.Restored(); err != nil || at.IsZero() != (last == 0) {
			t.Errorf("restored %s, %v", at, err)
		}
		stop := run(t, s)
		commit(t, s, store.Batch{Events: [][]byte{[]byte("new")}})
		events, err := s.Events(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		// The four of the backup, and the new one.
		if len(events) != 5 || events[4].Sequence <= last {
			t.Errorf("events %v after number %d", events, last)
		}
		last = events[len(events)-1].Sequence
		stop()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Restore(t.Context(), path, bytes.NewReader(backup)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	want := filled(t, path)
	backup := backUp(t, path)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	bad := map[string][]byte{
		"empty":      nil,
		"twice":      append(slices.Clone(backup), backup...),
		"only a sum": backup[len(backup)-trailerSize:],
	}
	for range 20 {
		damaged := slices.Clone(backup)
		damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
		bad["damaged"] = damaged
		bad["cut short"] = backup[:r.IntN(len(backup))]
		for name, content := range bad {
			if err := Restore(t.Context(), path, bytes.NewReader(content)); !errors.Is(err, ErrBackup) {
				t.Errorf("%s: %v, want ErrBackup", name, err)
			}
		}
	}
	// A whole backup of something else.
	var other bytes.Buffer
	if err := pack(&other, bytes.NewReader([]byte("rubbish"))); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), path, &other); !errors.Is(err, store.ErrForeign) {
		t.Errorf("backup of something else: %v, want ErrForeign", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Restore(ended, path, bytes.NewReader(backup)); !errors.Is(err, context.Canceled) {
		t.Errorf("Restore: %v, want the context's error", err)
	}
	s := mustOpen(t, path)
	checkLeases(t, s, want)
	if err := Restore(t.Context(), path, bytes.NewReader(backup)); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Restore: %v, want ErrLocked", err)
	}
	checkLeases(t, s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A backup has each batch wholly or not at all, while commits go on.
func TestBackupOnline(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, filepath.Join(dir, "store"))
	stop := run(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := uint16(0); ctx.Err() == nil; n += 2 {
			commit(t, s, store.Batch{Put: []lease.Lease{leaseOf(n), leaseOf(n + 1)}})
		}
	})
	commit(t, s, store.Batch{Put: []lease.Lease{leaseOf(0), leaseOf(1)}})
	for range 5 {
		var b bytes.Buffer
		if err := s.Backup(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "restored")
		if err := Restore(t.Context(), path, &b); err != nil {
			t.Fatal(err)
		}
		restored := mustOpen(t, path)
		got := all(t, restored)
		if len(got) == 0 || len(got)%2 != 0 {
			t.Errorf("the backup has %d leases, which come in pairs", len(got))
		}
		if err := restored.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	wait.Wait()
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is not there cannot be backed up to what fails.
func TestBackupFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	filled(t, path)
	s := mustOpen(t, path)
	defer s.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := s.Backup(t.Context(), full); err == nil {
		t.Error("Backup to a full disk succeeded")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ended, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Backup: %v, want the context's error", err)
	}
}

func FuzzReceive(f *testing.F) {
	var b bytes.Buffer
	if err := pack(&b, bytes.NewReader([]byte("content"))); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		err := receive(&out, bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrBackup) {
				t.Fatalf("%v, want ErrBackup", err)
			}
			return
		}
		var again bytes.Buffer
		if err := pack(&again, bytes.NewReader(out.Bytes())); err != nil || !bytes.Equal(again.Bytes(), data) {
			t.Errorf("%q is taken for a backup of %q", data, out.Bytes())
		}
	})
}

// FuzzOpen must not hang or crash, whatever is in the file.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "store")
	s := mustOpen(f, path)
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:6*4096])
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "store")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(path); err == nil {
			_ = s.Close()
		}
	})
}
