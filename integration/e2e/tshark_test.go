package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// readByTshark has tshark decode all PCP that was captured. It must have nothing
// to say against it, and know of an answer to each request.
func readByTshark(t *testing.T, frames []netlab.Frame) {
	netlab.RequireProgram(t, "tshark", "tshark")
	path := filepath.Join(t.TempDir(), "talk.pcap")
	must(t, netlab.WriteFrames(path, frames))
	cmd := exec.CommandContext(t.Context(), "tshark", "-r", path, "-Y", "udp.port == 5351", "-T", "fields", "-E", "separator=;",
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
		// That is about the number of a client's port, which is a matter of chance.
		if remark != "" && !strings.HasPrefix(remark, "Possible traceroute") {
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
