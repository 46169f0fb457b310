package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a running command in a namespace. It is killed if the lab's
// process dies.
type Process struct {
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{}
	err  error // of Wait; read it after done
}

// stopTimeout is how long a process may take to end after SIGTERM.
const stopTimeout = 10 * time.Second

// Start runs a program in the namespace. What it writes is kept for Output.
func (n *Namespace) Start(program string, args ...string) (*Process, error) {
	p := &Process{name: n.name + ":" + program, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var failed error
	err := n.lab.keep(func() {
		started := make(chan error)
		n.tasks <- func() { started <- p.cmd.Start() }
		if failed = <-started; failed == nil {
			n.lab.processes = append(n.lab.processes, p)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("%s: start %s: %w", n, program, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// ID is that of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait blocks until the process has ended and returns what exec.Cmd.Wait does.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends sig. It is no error if the process has ended.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %s: %w", p.name, sig, err)
	}
	return nil
}

// Stop asks the process to end, kills it if it does not, and reports a process
// that had to be killed. It may be called again.
func (p *Process) Stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	select {
	case <-p.done:
		return nil
	case <-late.C:
	}
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return errors.Join(err, fmt.Errorf("%s: did not end within %s of SIGTERM and was killed; its output: %s",
		p.name, stopTimeout, p.Output()))
}

// Output is what the process wrote to both of its streams so far, or the end
// of it.
func (p *Process) Output() string { return p.out.String() }

// output keeps the end of what is written to it.
type output struct {
	mu   sync.Mutex
	kept []byte
}

const maxOutput = 256 << 10

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, b...)
	if over := len(o.kept) - maxOutput; over > 0 {
		o.kept = append(o.kept[:0], o.kept[over:]...)
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.kept)
}
