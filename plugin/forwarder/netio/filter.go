package netio

import (
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Classic BPF reads metadata at SKF_AD_OFF and the network header at
// SKF_NET_OFF; both are negative offsets.
const (
	bpfMetadata = 0xfffff000
	bpfNetwork  = 0xfff00000

	bpfPacketType = bpfMetadata + 4
)

// noPackets accepts nothing.
var noPackets = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}

// ourPackets accepts whole packets that are addressed to this host on the link:
// no multicast, and not what a capture in promiscuous mode lets in.
var ourPackets = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: bpfPacketType},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.PACKET_HOST, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// steering is the program that picks a queue for a packet by its addresses, so
// that all fragments of a packet meet in one queue whatever else they carry. On
// the IPv6 side it looks at the source only, which is the lwB4: then fragments
// of the inner packet and of the outer one meet too.
func steering(side dataplane.Side) unix.SockFprog {
	var offsets []uint32
	if side == dataplane.SideIPv4 {
		offsets = []uint32{12, 16} // RFC 791: source and destination
	} else {
		offsets = []uint32{8, 12, 16, 20} // RFC 8200: source
	}
	program := []unix.SockFilter{{Code: unix.BPF_LDX | unix.BPF_IMM, K: 0}}
	for _, at := range offsets {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: bpfNetwork + at},
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X},
			// Spread before the next word, so that no two words cancel out.
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K, K: 0x9e3779b1},
			unix.SockFilter{Code: unix.BPF_MISC | unix.BPF_TAX},
		)
	}
	// The low bits of a product depend on the low bits of the factors only.
	program = append(program,
		unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 16},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A},
	)
	return unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

func setFilter(fd int, program []unix.SockFilter) error {
	return setsockopt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}
