package vpptest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Port is the far end of a link to VPP: a veth pair whose near end is one of
// VPP's interfaces. Packets of the kernel do not come up on it.
type Port struct {
	// Interface is VPP's name of its end, and Index the number by which it knows
	// it; it may be another one after a restart.
	Interface string
	Index     uint32
	// MAC is the far end's address, and VPPMAC that of VPP's end.
	MAC, VPPMAC net.HardwareAddr

	file *os.File
	buf  []byte
}

// portMTU is that of both ends, in octets. Cases with large MTUs set VPP's own
// limit below it.
const portMTU = 9000

// etherHeader is the length of an Ethernet header in octets.
const etherHeader = 14

// AddPort makes a link, gives VPP its end and brings it up.
func (v *VPP) AddPort() *Port {
	v.t.Helper()
	p, err := v.addPort()
	if err != nil {
		v.t.Fatalf("port of VPP: %v", err)
	}
	v.t.Cleanup(func() { _ = p.file.Close() }) // nothing is written behind it
	return p
}

func (v *VPP) addPort() (*Port, error) {
	near, far := fmt.Sprintf("vpp%d", v.ports), fmt.Sprintf("far%d", v.ports)
	v.ports++
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = near, portMTU
	if err := v.ns.links.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: far, PeerMTU: portMTU}); err != nil {
		return nil, fmt.Errorf("veth pair: %w", err)
	}
	for _, name := range []string{near, far} {
		if err := v.silence(name); err != nil {
			return nil, err
		}
		link, err := v.ns.links.LinkByName(name)
		if err != nil {
			return nil, err
		}
		if err := v.ns.links.LinkSetUp(link); err != nil {
			return nil, err
		}
	}
	p := &Port{Interface: "host-" + near, buf: make([]byte, 1<<16)}
	if err := p.open(v.ns, far); err != nil {
		return nil, err
	}
	v.attach(p, near)
	return p, nil
}

// Reattach gives VPP its end of an existing port again, after a restart.
func (v *VPP) Reattach(p *Port) {
	v.t.Helper()
	v.attach(p, p.Interface[len("host-"):])
}

// attach makes near an interface of VPP.
func (v *VPP) attach(p *Port, near string) {
	v.t.Helper()
	v.CLI("create host-interface name %s hw-addr %s", near, p.VPPMAC)
	v.CLI("set interface state %s up", p.Interface)
	output := v.CLI("show interface %s", p.Interface)
	for line := range strings.Lines(output) {
		var name string
		if _, err := fmt.Sscan(line, &name, &p.Index); err == nil && name == p.Interface {
			return
		}
	}
	v.t.Fatalf("number of %s:\n%s", p.Interface, output)
}

// silence keeps the kernel from speaking IPv6 on an interface.
func (v *VPP) silence(name string) error {
	return v.ns.do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	})
}

// open opens the packet socket of the far end.
func (p *Port) open(ns *namespace, far string) error {
	return ns.do(func() error {
		link, err := net.InterfaceByName(far)
		if err != nil {
			return err
		}
		p.MAC = link.HardwareAddr
		p.VPPMAC = append(net.HardwareAddr{0x02, 0xfe}, p.MAC[2:]...)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		p.file = os.NewFile(uintptr(fd), "port "+far)
		const buffer = 4 << 20
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: link.Index}),
		)
	})
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// Send sends an IP packet to VPP.
func (p *Port) Send(packet []byte) error {
	kind := uint16(unix.ETH_P_IP)
	if len(packet) > 0 && packet[0]>>4 == 6 {
		kind = unix.ETH_P_IPV6
	}
	frame := append(append(make([]byte, 0, etherHeader+len(packet)), p.VPPMAC...), p.MAC...)
	frame = append(binary.BigEndian.AppendUint16(frame, kind), packet...)
	return p.SendFrame(frame)
}

// SendFrame sends an Ethernet frame to VPP.
func (p *Port) SendFrame(frame []byte) error {
	if _, err := p.file.Write(frame); err != nil {
		return fmt.Errorf("sending to VPP: %w", err)
	}
	return nil
}

// Receive returns the next IP packet that VPP sent, without padding. Other
// frames are passed over, and so are neighbour discovery and multicast.
func (p *Port) Receive(ctx context.Context) ([]byte, error) {
	for {
		frame, err := p.ReceiveFrame(ctx)
		if err != nil {
			return nil, err
		}
		if packet := ipOf(frame); packet != nil {
			return packet, nil
		}
	}
}

// ReceiveFrame returns the next Ethernet frame that VPP sent, or the context's
// error.
func (p *Port) ReceiveFrame(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() {
		_ = p.file.SetReadDeadline(time.Unix(1, 0)) // only fails when closed, which ends the read too
	})
	defer stop()
	for {
		n, err := p.file.Read(p.buf)
		if err == nil {
			return append([]byte(nil), p.buf[:n]...), nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("receiving from VPP: %w", err)
		}
		// The deadline is that of an earlier call.
		if err := p.file.SetReadDeadline(time.Time{}); err != nil {
			return nil, fmt.Errorf("receiving from VPP: %w", err)
		}
	}
}

// Missed is the number of frames that VPP sent since the last call and Receive
// will not return: the caller was too late for them.
func (p *Port) Missed() (uint64, error) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var stats *unix.TpacketStats
	control := raw.Control(func(fd uintptr) {
		stats, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err := errors.Join(control, err); err != nil {
		return 0, fmt.Errorf("statistics of the port: %w", err)
	}
	return uint64(stats.Drops), nil
}

// ipOf returns the IP packet in frame, or nil if there is none or it is the
// link's own business.
func ipOf(frame []byte) []byte {
	if len(frame) < etherHeader || frame[0]&1 != 0 {
		return nil
	}
	packet := frame[etherHeader:]
	length := 0
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if len(packet) >= 20 {
			length = int(binary.BigEndian.Uint16(packet[2:]))
		}
	case unix.ETH_P_IPV6:
		const icmp6, routerSolicitation, redirect = 58, 133, 137
		if len(packet) >= 40 && packet[6] == icmp6 && len(packet) > 40 &&
			packet[40] >= routerSolicitation && packet[40] <= redirect {
			return nil
		}
		if len(packet) >= 40 {
			length = 40 + int(binary.BigEndian.Uint16(packet[4:]))
		}
	default:
		return nil
	}
	if length > 0 && length < len(packet) {
		packet = packet[:length]
	}
	return packet
}
