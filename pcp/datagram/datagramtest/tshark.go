// Package datagramtest has tshark, a decoder that nobody here wrote, read
// datagrams in tests.
package datagramtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/lwaftr/lw4o6/pcp/datagram"
)

// Warnings is a filter for packets in which something is wrong.
const Warnings = "_ws.malformed or _ws.expert.severity >= 6291456"

// Tshark returns what runs tshark on datagrams, with arguments besides, and returns
// its output. It ends the test as skipped where there is no tshark.
func Tshark(t *testing.T, all []datagram.Datagram) func(args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("needs tshark")
	}
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	err := w.WriteFileHeader(65535, layers.LinkTypeRaw)
	for _, d := range all {
		packet := d.Packet()
		if err == nil {
			info := gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(packet), Length: len(packet)}
			err = w.WritePacket(info, packet)
		}
	}
	path := filepath.Join(t.TempDir(), "datagrams.pcap")
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "tshark", append([]string{"-r", path, "-o", "udp.check_checksum:TRUE"}, args...)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("tshark: %v\n%s", err, errs.Bytes())
		}
		return string(out)
	}
}
