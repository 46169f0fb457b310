package netio

import (
	"golang.org/x/sys/unix"
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

func setFilter(fd int, program []unix.SockFilter) error {
	return setsockopt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}
