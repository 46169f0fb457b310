package netio

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Which queue gets a packet depends on its addresses only, so that all
// fragments of a packet meet in one queue. Left to itself the kernel looks at
// ports where it finds them, and a TUN device also at what was last sent where.
//
// On the IPv6 side it is the source only, which is the lwB4: then fragments of
// the inner packet and of the outer one meet too.

// steeringWords are the offsets of the 32-bit words in side's IP header by which
// a queue is chosen.
func steeringWords(side dataplane.Side) []uint32 {
	if side == dataplane.SideIPv4 {
		return []uint32{12, 16} // RFC 791: source and destination
	}
	return []uint32{8, 12, 16, 20} // RFC 8200: source
}

const (
	// steeringFactor spreads a word over the upper bits of the sum; done after
	// each word so that no two words cancel out.
	steeringFactor = 0x9e3779b1
	// steeringShift drops the lower bits, on which only the lower bits of the
	// words have an influence.
	steeringShift = 16
)

// packetSteering is the program for sockets of one side, in classic BPF.
func packetSteering(side dataplane.Side) unix.SockFprog {
	program := []unix.SockFilter{{Code: unix.BPF_LDX | unix.BPF_IMM, K: 0}}
	for _, at := range steeringWords(side) {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: bpfNetwork + at},
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X},
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K, K: steeringFactor},
			unix.SockFilter{Code: unix.BPF_MISC | unix.BPF_TAX},
		)
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: steeringShift},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A},
	)
	return unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

// instruction is struct bpf_insn: of eBPF, which a TUN device wants.
type instruction struct {
	code      uint8
	registers uint8 // destination, and source times 16 (on little-endian machines)
	offset    int16
	immediate uint32
}

// Registers: loads put their result in r0 and find the packet by r6; r7 keeps
// the sum.
const (
	r0, r1, r6, r7 = 0, 1, 6, 7

	fromR0, fromR1, fromR7 = r0 << 4, r1 << 4, r7 << 4
)

// tunSteering is the program for TUN devices of either side or both.
func tunSteering() []instruction {
	words4 := steerBy(steeringWords(dataplane.SideIPv4))
	words6 := steerBy(steeringWords(dataplane.SideIPv6))
	program := []instruction{
		{code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X, registers: r6 | fromR1},
		{code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, registers: r7},
		{code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, immediate: bpfNetwork},
		{code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, registers: r0, immediate: 4},
		// Over the words of IPv4 and the jump behind them.
		{code: unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K, registers: r0, offset: int16(len(words4) + 1), immediate: 4},
	}
	program = append(program, words4...)
	program = append(program, instruction{code: unix.BPF_JMP | unix.BPF_JA, offset: int16(len(words6))})
	program = append(program, words6...)
	return append(program,
		instruction{code: unix.BPF_ALU | unix.BPF_MOV | unix.BPF_X, registers: r0 | fromR7},
		instruction{code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, registers: r0, immediate: steeringShift},
		instruction{code: unix.BPF_JMP | unix.BPF_EXIT},
	)
}

// steerBy adds words to r7.
func steerBy(words []uint32) (program []instruction) {
	for _, at := range words {
		program = append(program,
			instruction{code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, immediate: bpfNetwork + at},
			instruction{code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X, registers: r7 | fromR0},
			instruction{code: unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K, registers: r7, immediate: steeringFactor},
		)
	}
	return program
}

// steerTUN makes a TUN device choose queues by tunSteering.
func steerTUN(fd int) error {
	program, license := tunSteering(), []byte("Apache-2.0\x00")
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pinner.Pin(&program[0])
	pinner.Pin(&license[0])
	// The beginning of union bpf_attr; the kernel takes the rest as zeros.
	attributes := struct {
		kind         uint32
		length       uint32
		instructions uint64
		license      uint64
		_            [3]uint64
	}{
		kind:         unix.BPF_PROG_TYPE_SOCKET_FILTER,
		length:       uint32(len(program)),
		instructions: uint64(uintptr(unsafe.Pointer(&program[0]))),
		license:      uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	loaded, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD,
		uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes))
	if errno != 0 {
		return fmt.Errorf("load steering program: %w", errno)
	}
	defer unix.Close(int(loaded)) // the device keeps it
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETSTEERINGEBPF, int(loaded)); err != nil {
		return fmt.Errorf("set steering program: %w", err)
	}
	return nil
}
