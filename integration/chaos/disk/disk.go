package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Faults is what goes wrong, as the number of calls in which it happens once; 0
// is never.
type Faults struct {
	Fail  int // a call fails
	Short int // a write writes a part
	Kill  int // the process is killed before the call is done
}

// Counts is what a Disk has done.
type Counts struct {
	Calls  int // that changed the folder
	Fsyncs int // among them
	Faults int
	Kills  int
	Losses int // of power
}

// Disk is the disk below a folder, for one process at a time.
type Disk struct {
	folder string
	random *rand.Rand

	mu     sync.Mutex
	faults Faults
	liar   bool
	files  map[string]*file
	counts Counts

	served chan error // by the goroutine of the process that runs
}

// New returns a disk below folder, a path without symbolic links, which it does
// not create. What is in the named files of the folder now counts as synced;
// these are the ones that it can take back. What happens by chance depends on
// seed.
func New(folder string, seed uint64, names ...string) (*Disk, error) {
	d := &Disk{folder: folder, random: rand.New(rand.NewPCG(seed, 1)), files: make(map[string]*file)}
	for _, name := range names {
		path := filepath.Join(folder, name)
		f, err := load(path)
		if err != nil {
			return nil, err
		}
		d.files[path] = f
	}
	return d, nil
}

// Inject says what goes wrong from now on.
func (d *Disk) Inject(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// Lie makes the disk say that it has synced what it has not.
func (d *Disk) Lie() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.liar = true
}

// Counts returns what was done until now.
func (d *Disk) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// Start starts a process that calls Attach. The error wraps errors.ErrUnsupported
// where the kernel, or what surrounds the process, does not allow that.
func (d *Disk) Start(cmd *exec.Cmd) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := pair[0], os.NewFile(uintptr(pair[1]), "disk")
	defer unix.Close(ours)
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", variable, 2+len(cmd.ExtraFiles)))
	err = cmd.Start()
	if err := errors.Join(err, theirs.Close()); err != nil {
		return err
	}
	l, err := receiveListener(ours)
	if err != nil {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	d.served = make(chan error, 1)
	go func() {
		err := d.serve(l, cmd.Process)
		if err != nil {
			// Nobody answers its calls any more.
			_ = cmd.Process.Kill()
		}
		d.served <- errors.Join(err, l.close())
	}()
	return nil
}

// Wait waits until the process has ended. What it wrote is there.
func (d *Disk) Wait() error { return <-d.served }

// LosePower makes the files what they are after a loss of power. The process has
// ended.
func (d *Disk) LosePower() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Losses++
	for path, f := range d.files {
		f.lose(d.random)
		if err := f.store(path); err != nil {
			return err
		}
	}
	return nil
}

// serve answers the calls of a process.
func (d *Disk) serve(l listener, process *os.Process) error {
	for {
		n, alive, err := l.next()
		if err != nil || !alive {
			return err
		}
		if err := d.call(l, n, process); err != nil {
			return err
		}
	}
}

// call answers one call.
func (d *Disk) call(l listener, n notification, process *os.Process) error {
	path, known := d.pathOf(n)
	if !known {
		return l.proceed(n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Calls++
	switch f := d.files[path]; {
	case d.chance(d.faults.Kill):
		d.counts.Kills++
		if err := process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return nil
	case n.call == unix.SYS_FSYNC, n.call == unix.SYS_FDATASYNC:
		return d.sync(l, n, f)
	case d.chance(d.faults.Fail):
		d.counts.Faults++
		return l.fail(n, []unix.Errno{unix.EIO, unix.ENOSPC}[d.random.IntN(2)])
	case f == nil:
		return l.proceed(n)
	case n.call == unix.SYS_FTRUNCATE:
		f.pending = append(f.pending, change{size: int64(n.args[1])})
		return l.proceed(n)
	case n.call == unix.SYS_PWRITE64:
		return d.write(l, n, path, f)
	}
	return fmt.Errorf("%s: system call %d is not one that can be taken back", path, n.call)
}

// pathOf is the file of a call, if it is in the folder.
func (d *Disk) pathOf(n notification) (path string, known bool) {
	switch n.call {
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_UNLINKAT:
		name, err := n.memory(n.args[1], uint64(len(d.folder)))
		return d.folder, err == nil && string(name) == d.folder
	}
	path, err := n.path()
	return path, err == nil && (path == d.folder || strings.HasPrefix(path, d.folder+"/"))
}

func (d *Disk) sync(l listener, n notification, f *file) error {
	d.counts.Fsyncs++
	if d.chance(d.faults.Fail) {
		d.counts.Faults++
		// The kernel drops what it could not write, and says so once.
		if f != nil {
			f.lose(d.random)
		}
		return l.fail(n, unix.EIO)
	}
	if f != nil && !d.liar {
		f.sync()
	}
	return l.proceed(n)
}

func (d *Disk) write(l listener, n notification, path string, f *file) error {
	data, err := n.memory(n.args[1], n.args[2])
	if errors.Is(err, unix.ESRCH) {
		return nil // it was killed meanwhile
	}
	if err != nil {
		return err
	}
	offset := int64(n.args[3])
	short := len(data) > 1 && d.chance(d.faults.Short)
	if short {
		d.counts.Faults++
		data = data[:1+d.random.IntN(len(data)-1)]
	}
	f.pending = append(f.pending, change{offset: offset, data: data})
	if !short {
		return l.proceed(n)
	}
	out, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = out.WriteAt(data, offset)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return l.done(n, len(data))
}

// chance is true once in n times.
func (d *Disk) chance(n int) bool { return n > 0 && d.random.IntN(n) == 0 }
