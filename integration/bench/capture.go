package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"os"
)

// The header of a capture file and that of each packet, in octets, and the link
// type of Ethernet (tcpdump.org/linktypes.html).
const (
	captureHeader = 24
	recordHeader  = 16
	captureMagic  = 0xa1b2c3d4
	linkEthernet  = 1
	etherHeader   = 14
)

// writeCapture writes n IP packets to a file as tcpdump does, as frames for an
// interface of the packet generator.
func writeCapture(file string, n int, packet func(i int) []byte) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	order := binary.LittleEndian
	head := order.AppendUint32(make([]byte, 0, captureHeader), captureMagic)
	head = order.AppendUint16(order.AppendUint16(head, 2), 4)          // the format's version
	head = order.AppendUint32(append(head, make([]byte, 8)...), 1<<16) // longest packet
	_, err = w.Write(order.AppendUint32(head, linkEthernet))
	for i := 0; i < n && err == nil; i++ {
		_, err = w.Write(record(packet(i)))
	}
	return errors.Join(err, w.Flush(), f.Close())
}

// record is an IP packet as a capture has it.
func record(p []byte) []byte {
	const ethertype4, ethertype6 = 0x0800, 0x86dd
	kind := uint16(ethertype4)
	if p[0]>>4 == 6 {
		kind = ethertype6
	}
	size := uint32(etherHeader + len(p))
	b := make([]byte, 8, recordHeader+size) // at time 0
	b = binary.LittleEndian.AppendUint32(b, size)
	b = binary.LittleEndian.AppendUint32(b, size)
	b = append(append(b, generatorMAC...), neighbourMAC...)
	return append(binary.BigEndian.AppendUint16(b, kind), p...)
}
