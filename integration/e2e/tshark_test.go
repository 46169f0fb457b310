package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// readByTshark has tshark decode all PCP that was captured. It must have nothing
// to say against it, and know of an answer to each request.
func readByTshark(t *testing.T, frames []netlab.Frame) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark")
	}
	path := filepath.Join(t.TempDir(), "talk.pcap")
	writeFrames(t, path, frames)
	cmd := exec.CommandContext(t.Context(), tshark, "-r", path, "-Y", "udp.port == 5351", "-T", "fields", "-E", "separator=;",
		"-e", "_ws.expert.message", "-e", "portcontrol.opcode", "-e", "portcontrol.r")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, problems.String())
	}
	// By opcode and whether it is an answer.
	counts := map[string]int{}
	for line := range strings.Lines(string(out)) {
		remark, message, _ := strings.Cut(strings.TrimSpace(line), ";")
		if remark != "" {
			t.Errorf("tshark remarks: %s", line)
		}
		counts[message]++
	}
	const announce, mapping, answer = "0;", "1;", "1"
	for _, opcode := range []string{announce, mapping} {
		if asked := counts[opcode+"0"]; asked == 0 || counts[opcode+answer] != asked {
			t.Errorf("opcode %s: tshark sees %d requests and %d answers", opcode, asked, counts[opcode+answer])
		}
	}
	if len(counts) != 4 {
		t.Errorf("tshark sees %v", counts)
	}
}

// writeFrames writes frames to a file.
func writeFrames(t *testing.T, path string, frames []netlab.Frame) {
	t.Helper()
	file, err := os.Create(path)
	must(t, err)
	defer file.Close()
	w := pcapgo.NewWriter(file)
	must(t, w.WriteFileHeader(1<<16, layers.LinkTypeEthernet))
	for _, f := range frames {
		must(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: f.At, CaptureLength: len(f.Data), Length: len(f.Data)}, f.Data))
	}
}
