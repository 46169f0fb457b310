package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun shows the exit codes and the last line for folders that prove
// nothing.
func TestRun(t *testing.T) {
	broken := t.TempDir()
	if err := os.Mkdir(filepath.Join(broken, "lwaftr"), 0o755); err != nil {
		t.Fatal(err)
	}
	cases := `{"confs":{},"cases":[{"index":7,"name":"odd one","compare":"exact","conf":"none"}]}`
	if err := os.WriteFile(filepath.Join(broken, "lwaftr", "cases.json"), []byte(cases), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		plane  string
		folder string
		code   int
		stdout string
		stderr string
	}{
		{"no folder", "forwarder", filepath.Join(broken, "elsewhere"), 2, "0 passed, 0 failed, 0 skipped\n", "set LW4O6_VECTORS"},
		{"no such data plane", "kernel", broken, 2, "0 passed, 0 failed, 0 skipped\n", "want forwarder or vpp"},
		{"a broken case", "forwarder", broken, 1, "1 cases on the data plane forwarder\nFAIL   7 odd one\n         conf: there is no \"none\" under confs\n0 passed, 1 failed, 0 skipped\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(context.Background(), tt.plane, tt.folder, &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if stdout.String() != tt.stdout || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("printed %q and %q", &stdout, &stderr)
			}
		})
	}
}
