package bolt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// A backup is the file as one transaction sees it, and a trailer: a magic of 8
// bytes, the length of the file in 8 bytes, big-endian, and the SHA-256 of all
// that comes before the sum.
const (
	backupMagic = "lw4o6bak"
	trailerSize = len(backupMagic) + 8 + sha256.Size
)

// ErrBackup reports something that is no whole backup of a store.
var ErrBackup = errors.New("not a complete backup")

// Backup writes a copy of the store as it is at one instant during the call,
// while commits go on. The copy says itself whether it is complete. While it is
// written the store does not get over a failed commit.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	s.backups.Add(1)
	defer s.backups.Add(-1)
	err := s.view(func(tx *bbolt.Tx) error { return pack(&contextWriter{ctx, w}, tx) })
	if err != nil {
		// bbolt does not wrap what the writer returns.
		return fmt.Errorf("back up store %s: %w", s.path, errors.Join(err, ctx.Err()))
	}
	return nil
}

// pack writes content and the trailer.
func pack(w io.Writer, content io.WriterTo) error {
	sum := sha256.New()
	both := io.MultiWriter(w, sum)
	n, err := content.WriteTo(both)
	if err != nil {
		return err
	}
	if _, err := both.Write(binary.BigEndian.AppendUint64([]byte(backupMagic), uint64(n))); err != nil {
		return err
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// contextWriter fails when its context has ended.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w *contextWriter) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(b)
}

// Restore puts what Backup wrote in the place of the store at path, which may be
// missing or damaged, but not in use. It replaces the file after the backup was
// checked, at once and durably; until then the file is as it was. The error wraps
// ErrBackup, store.ErrLocked, or one that Open returns.
func Restore(ctx context.Context, path string, r io.Reader) error {
	if err := restore(ctx, path, r, present()); err != nil {
		return fmt.Errorf("restore store %s: %w", path, err)
	}
	return nil
}

func restore(ctx context.Context, path string, r io.Reader, s schema) (err error) {
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".restore-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = receive(&contextWriter{ctx, f}, r)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := renew(f.Name(), s); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(path)
}

// lock keeps the file at path, if there is one, from being opened as a store.
func lock(path string) (unlock func() error, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	// The same lock that bbolt takes.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = store.ErrLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// receive copies the file out of a backup and checks the trailer.
func receive(w io.Writer, r io.Reader) error {
	sum := sha256.New()
	split := &tail{w: w, sum: sum}
	if _, err := io.Copy(split, r); err != nil {
		return err
	}
	return split.check()
}

// tail passes on all but the last trailerSize bytes of what is written to it.
type tail struct {
	w      io.Writer
	sum    hash.Hash // of what was passed on
	passed uint64
	held   []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.held = append(t.held, b...)
	pass := len(t.held) - trailerSize
	if pass <= 0 {
		return len(b), nil
	}
	if _, err := t.w.Write(t.held[:pass]); err != nil {
		return 0, err
	}
	_, _ = t.sum.Write(t.held[:pass]) // cannot fail
	t.passed += uint64(pass)
	t.held = append(t.held[:0], t.held[pass:]...)
	return len(b), nil
}

// check compares the trailer with what was passed on.
func (t *tail) check() error {
	if len(t.held) < trailerSize || string(t.held[:len(backupMagic)]) != backupMagic {
		return fmt.Errorf("%w: its end is missing", ErrBackup)
	}
	head, sum := t.held[:trailerSize-sha256.Size], t.held[trailerSize-sha256.Size:]
	_, _ = t.sum.Write(head)
	if binary.BigEndian.Uint64(head[len(backupMagic):]) != t.passed || string(t.sum.Sum(nil)) != string(sum) {
		return fmt.Errorf("%w: its content is not what was written", ErrBackup)
	}
	return nil
}

// Restored is when the store was put in place from a backup, so that what came
// between is lost; zero if it never was.
func (s *Store) Restored() (at time.Time, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		c, err := contentOf(tx)
		if err == nil {
			at, err = c.restored()
		}
		return err
	})
	return at, err
}

// renew checks a file and notes that it is a backup. Events get numbers that none
// had before, although the file does not know of those after the backup.
func renew(path string, s schema) error {
	f, _, err := openFile(path, s)
	if err != nil {
		return err
	}
	err = f.db.Update(func(tx *bbolt.Tx) error {
		c, err := contentOf(tx)
		if err != nil {
			return err
		}
		c.totals.last = max(c.totals.last, numberNow())
		if err := c.markRestored(time.Now()); err != nil {
			return err
		}
		return c.finish()
	})
	return errors.Join(err, f.db.Close())
}
