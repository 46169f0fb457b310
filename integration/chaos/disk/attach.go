package disk

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// variable names the environment variable with the number of the descriptor that
// the child's listener is sent through.
const variable = "LW4O6_CHAOS_DISK"

// calls are the system calls that change files, but open, which creates and cuts
// short: none of the files is opened so twice.
func calls() []uint32 {
	return []uint32{
		unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_FTRUNCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC,
		unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_UNLINKAT,
	}
}

// Attach puts the process that calls it on the Disk that started it; without one
// it does nothing. It is called before the process touches files.
func Attach() error {
	value, ok := os.LookupEnv(variable)
	if !ok {
		return nil
	}
	socket, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	listener, err := listen()
	if err != nil {
		return fmt.Errorf("hand over system calls: %w", err)
	}
	// The first call of the list waits for who gets this.
	err = unix.Sendmsg(socket, []byte{0}, unix.UnixRights(listener), nil, 0)
	return errors.Join(err, unix.Close(listener), unix.Close(socket))
}

// listen has the calls of all threads handed over to the descriptor it returns.
func listen() (int, error) {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return 0, errors.ErrUnsupported
	}
	program := filter(arch)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// filter hands over calls and lets all others through.
func filter(arch uint32) []unix.SockFilter {
	const number, architecture = 0, 4 // places in struct seccomp_data
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	ret := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	equal := func(k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	all := calls()
	n := uint8(len(all))
	f := []unix.SockFilter{load(architecture), equal(arch, 0, n+1), load(number)}
	for i, call := range all {
		f = append(f, equal(call, n-uint8(i), 0))
	}
	return append(f, ret(unix.SECCOMP_RET_ALLOW), ret(unix.SECCOMP_RET_USER_NOTIF))
}
