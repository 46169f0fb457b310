package netlab

import (
	"errors"
	"os"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// WriteFrames writes frames to a new file in the format of pcap, for other
// people's programs.
func WriteFrames(path string, frames []Frame) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := pcapgo.NewWriter(file)
	err = w.WriteFileHeader(1<<16, layers.LinkTypeEthernet)
	for _, f := range frames {
		if err == nil {
			err = w.WritePacket(gopacket.CaptureInfo{Timestamp: f.At, CaptureLength: len(f.Data), Length: len(f.Data)}, f.Data)
		}
	}
	return errors.Join(err, file.Close())
}
