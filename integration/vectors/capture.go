package vectors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Bounds of a pcap file.
const (
	maxCaptureFile = 32 << 20 // bytes
	maxPackets     = 10_000
)

// EtherTypes that matter here.
const (
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	maxVLANs   = 4
	etherBytes = 14
)

// readCapture returns the IP packets of a pcap file, without their Ethernet
// headers and VLAN tags. Frames of other protocols (ARP) are left out.
func readCapture(folder fs.FS, name string) ([][]byte, error) {
	// What is outside the folder is none of the case's business.
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("%q is not a path below the folder", name)
	}
	data, err := readFile(folder, name, maxCaptureFile)
	if err != nil {
		return nil, err
	}
	packets, err := parseCapture(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return packets, nil
}

// parseCapture is readCapture on the bytes of a file.
func parseCapture(data []byte) ([][]byte, error) {
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not a pcap file: %w", err)
	}
	if r.LinkType() != layers.LinkTypeEthernet {
		return nil, fmt.Errorf("link type %s, want Ethernet", r.LinkType())
	}
	var packets [][]byte
	size := 0
	for n := 1; ; n++ {
		frame, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return nil, fmt.Errorf("frame %d: %w", n, err)
		}
		if info.CaptureLength != info.Length {
			return nil, fmt.Errorf("frame %d is truncated", n)
		}
		// A compressed file may hold more than its size.
		if size += len(frame); n > maxPackets || size > maxCaptureFile {
			return nil, fmt.Errorf("more than %d frames or %d bytes", maxPackets, maxCaptureFile)
		}
		packet, err := unwrap(frame)
		if err != nil {
			return nil, fmt.Errorf("frame %d: %w", n, err)
		}
		if packet != nil {
			packets = append(packets, packet)
		}
	}
}

// unwrap returns the IP packet in an Ethernet frame, nil if there is none.
func unwrap(frame []byte) ([]byte, error) {
	if len(frame) < etherBytes {
		return nil, fmt.Errorf("%d bytes are no Ethernet frame", len(frame))
	}
	kind, packet := binary.BigEndian.Uint16(frame[12:]), frame[etherBytes:]
	for range maxVLANs {
		if kind != etherVLAN && kind != etherQinQ {
			break
		}
		if len(packet) < 4 {
			return nil, errors.New("VLAN tag cut short")
		}
		kind, packet = binary.BigEndian.Uint16(packet[2:]), packet[4:]
	}
	if kind != etherIPv4 && kind != etherIPv6 {
		return nil, nil
	}
	return packet, nil
}
