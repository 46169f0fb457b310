package disk

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notification is the kernel's struct seccomp_notif.
type notification struct {
	id    uint64
	pid   uint32 // of the thread
	flags uint32
	call  int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// response is the kernel's struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32 // negative
	flags uint32
}

// listener is where a child's system calls arrive.
type listener struct{ fd int }

// receiveListener takes what Attach sends.
func receiveListener(socket int) (listener, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(socket, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return listener{}, err
	}
	if n == 0 {
		return listener{}, errors.New("the process ended before it was attached")
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return listener{}, fmt.Errorf("no descriptor came from the process: %w", errors.Join(err, os.ErrInvalid))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return listener{}, fmt.Errorf("no descriptor came from the process: %w", errors.Join(err, os.ErrInvalid))
	}
	return listener{fds[0]}, nil
}

// next waits for a call. It reports false when the process is gone.
func (l listener) next() (notification, bool, error) {
	for {
		poll := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return notification{}, false, err
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			if poll[0].Revents != 0 {
				return notification{}, false, nil
			}
			continue
		}
		var n notification
		switch err := l.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); {
		case err == nil:
			return n, true, nil
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINTR):
			// The thread is gone, or has left the call because of a signal.
		default:
			return notification{}, false, err
		}
	}
}

// proceed lets the kernel do the call.
func (l listener) proceed(n notification) error {
	return l.answer(response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

// fail lets the call return an error.
func (l listener) fail(n notification, errno unix.Errno) error {
	return l.answer(response{id: n.id, errno: -int32(errno)})
}

// done lets the call return value, without being done by the kernel.
func (l listener) done(n notification, value int) error {
	return l.answer(response{id: n.id, value: int64(value)})
}

func (l listener) answer(r response) error {
	err := l.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	if errors.Is(err, unix.ENOENT) {
		return nil // nobody waits any more
	}
	return err
}

func (l listener) ioctl(request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

func (l listener) close() error { return unix.Close(l.fd) }

// memory reads size bytes of the calling thread's memory.
func (n notification) memory(address, size uint64) ([]byte, error) {
	b := make([]byte, size)
	if size == 0 {
		return b, nil
	}
	local := []unix.Iovec{{Base: &b[0], Len: size}}
	remote := []unix.RemoteIovec{{Base: uintptr(address), Len: int(size)}}
	got, err := unix.ProcessVMReadv(int(n.pid), local, remote, 0)
	if err == nil && uint64(got) != size {
		err = fmt.Errorf("read %d of %d bytes of the process", got, size)
	}
	return b, err
}

// path is what the descriptor that is the call's first argument leads to.
func (n notification) path() (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", n.pid, int32(n.args[0])))
}
