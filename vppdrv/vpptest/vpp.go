package vpptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.fd.io/govpp/adapter/socketclient"
	"go.fd.io/govpp/core"
	"golang.org/x/sys/unix"
)

// The patience with a VPP, on machines where many of them start at once.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
	callTimeout  = 30 * time.Second
	startPause   = 20 * time.Millisecond
)

// VPP is a private VPP. Its methods are for one goroutine.
type VPP struct {
	Paths

	t      T
	binary string
	config Config
	dir    string
	ns     *namespace
	ports  int

	cmd     *exec.Cmd
	exited  chan struct{} // closed after the process ended, then err is set
	err     error
	ending  bool // that it ends is our doing
	client  *core.Connection
	started int // how often
}

// Start starts a VPP that ends with the test, and waits until its API answers.
// A test whose VPP ends by itself fails. Of a test that failed the directory
// with configuration, log and sockets is kept and named.
func Start(t T, c Config) *VPP {
	t.Helper()
	binary := Require(t)
	// Not t.TempDir: the paths of sockets may have 107 bytes, and logs outlive
	// a failed test.
	dir, err := os.MkdirTemp("", "lwvpp")
	if err != nil {
		t.Fatalf("directory for VPP: %v", err)
	}
	v := &VPP{Paths: PathsIn(dir), t: t, binary: binary, config: c, dir: dir}
	t.Cleanup(v.cleanup)
	if v.ns, err = newNamespace(); err != nil {
		t.Fatalf("namespace for VPP: %v", err)
	}
	startup := c.Startup(dir)
	if err := os.WriteFile(filepath.Join(dir, "startup.conf"), []byte(startup), 0o600); err != nil {
		t.Fatalf("configuration of VPP: %v", err)
	}
	v.Restart()
	return v
}

// PID is VPP's process id.
func (v *VPP) PID() int { return v.cmd.Process.Pid }

// Exited is closed when the process that was started last has ended.
func (v *VPP) Exited() <-chan struct{} { return v.exited }

// Restart starts VPP again, at the same paths, after Kill or Stop.
func (v *VPP) Restart() {
	v.t.Helper()
	if err := v.launch(); err != nil {
		v.t.Fatalf("starting VPP: %v", err)
	}
	if err := v.waitReady(); err != nil {
		v.t.Fatalf("VPP does not get ready: %v\n%s", err, v.tail())
	}
}

func (v *VPP) launch() error {
	output, err := os.OpenFile(filepath.Join(v.dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	v.cmd = exec.Command(v.binary, "-c", filepath.Join(v.dir, "startup.conf"))
	v.cmd.Dir, v.cmd.Stdout, v.cmd.Stderr = v.dir, output, output
	// It ends with a test that is killed. The kernel takes the end of the thread
	// that started it for that of the test, so that thread waits for it.
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd, exited, started := v.cmd, make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(exited)
		err := v.ns.do(func() error {
			err := cmd.Start()
			started <- err
			if err == nil {
				v.err = cmd.Wait()
			}
			return nil
		})
		if err != nil {
			started <- err
		}
	}()
	if err := <-started; err != nil {
		<-exited
		return err
	}
	// A worker that gets no processor for a second makes VPP abort.
	if !v.config.Busy && v.config.Workers == 0 {
		const politeness = 10
		if err := unix.Setpriority(unix.PRIO_PROCESS, v.cmd.Process.Pid, politeness); err != nil {
			v.t.Logf("priority of VPP: %v", err)
		}
	}
	v.ending, v.exited = false, exited
	v.started++
	return nil
}

// waitReady connects the client that CLI uses.
func (v *VPP) waitReady() error {
	deadline := time.Now().Add(startTimeout)
	for {
		var err error
		if v.client, err = core.Connect(socketclient.NewVppClient(v.API)); err == nil {
			return nil
		}
		select {
		case <-v.exited:
			return fmt.Errorf("it ended: %w", v.err)
		case <-time.After(startPause):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Kill ends VPP at once, as a crash would.
func (v *VPP) Kill() { v.end(syscall.SIGKILL) }

// Await waits until VPP ends because of something that the test did to it.
func (v *VPP) Await() {
	v.t.Helper()
	v.ending = true
	select {
	case <-v.exited:
	case <-time.After(stopTimeout):
		v.t.Errorf("VPP goes on")
		v.signal(syscall.SIGKILL)
		<-v.exited
	}
	v.disconnect()
}

// Stop ends VPP in order.
func (v *VPP) Stop() { v.end(syscall.SIGTERM) }

// Pause makes VPP hang until Resume.
func (v *VPP) Pause() { v.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (v *VPP) Resume() { v.signal(syscall.SIGCONT) }

func (v *VPP) signal(s syscall.Signal) {
	v.t.Helper()
	if err := v.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		v.t.Fatalf("signal %s to VPP: %v", s, err)
	}
}

func (v *VPP) end(s syscall.Signal) {
	v.t.Helper()
	if v.cmd == nil || v.ending {
		return
	}
	v.unexpected()
	v.ending = true
	v.signal(s)
	select {
	case <-v.exited:
	case <-time.After(stopTimeout):
		v.signal(syscall.SIGKILL)
		<-v.exited
	}
	v.disconnect()
}

// disconnect ends the client that CLI uses.
func (v *VPP) disconnect() {
	if v.client != nil {
		v.client.Disconnect()
		v.client = nil
	}
}

// unexpected fails the test if VPP ended by itself.
func (v *VPP) unexpected() {
	v.t.Helper()
	select {
	case <-v.exited:
		v.t.Errorf("VPP ended by itself: %v\n%s", v.err, v.tail())
	default:
	}
}

func (v *VPP) cleanup() {
	v.end(syscall.SIGTERM)
	if v.ns != nil {
		v.ns.close()
	}
	if v.t.Failed() || os.Getenv(envKeep) != "" {
		v.t.Logf("VPP's configuration and logs are kept in %s\n%s", v.dir, v.tail())
		return
	}
	if err := os.RemoveAll(v.dir); err != nil {
		v.t.Logf("removing VPP's directory: %v", err)
	}
}

// tail is the end of what VPP wrote.
func (v *VPP) tail() string {
	const lines = 40
	data, err := os.ReadFile(filepath.Join(v.dir, "output"))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Dir is the instance's directory.
func (v *VPP) Dir() string { return v.dir }

// patiently is a context for one call to VPP.
func patiently() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), callTimeout)
}
