package netio

import (
	"errors"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr: one message of recvmmsg and sendmmsg.
type mmsghdr struct {
	hdr    unix.Msghdr
	length uint32 // of what was received or sent
}

// writev writes the vectors as one packet, without allocating.
func writev(fd int, vectors []unix.Iovec) error {
	_, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(vectors))), uintptr(len(vectors)))
	if errno != 0 {
		return errno
	}
	return nil
}

// recvmmsg receives into messages what waits now, without blocking, and returns
// how many messages came. No message is unix.EAGAIN.
func recvmmsg(fd int, messages []mmsghdr) (int, error) {
	return mmsg(unix.SYS_RECVMMSG, fd, messages)
}

// sendmmsg sends messages without blocking and returns how many were sent. An
// error is that of the first message, when none was sent.
func sendmmsg(fd int, messages []mmsghdr) (int, error) {
	return mmsg(unix.SYS_SENDMMSG, fd, messages)
}

func mmsg(call uintptr, fd int, messages []mmsghdr) (int, error) {
	n, _, errno := unix.Syscall6(call, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// setsockopt sets an option whose value is a C structure.
func setsockopt[T any](fd, level, option int, value *T) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(value)), unsafe.Sizeof(*value), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// setVector makes v point at b, which is not empty.
func setVector(v *unix.Iovec, b []byte) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
}

// temporary reports errors that say only that nothing waits.
func temporary(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
}

// closeAll closes descriptors, all at once: the kernel waits with each of a
// network device until no CPU can still be using it.
func closeAll(fds []int) {
	var closing sync.WaitGroup
	for _, fd := range fds {
		closing.Go(func() { unix.Close(fd) })
	}
	closing.Wait()
}
