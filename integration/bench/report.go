package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const rowFormat = "%-34s %10s %-14s %7s  %-34s %10s %7s\n"

// header says what the figures were made on, and names the columns.
func (h *harness) header() {
	fmt.Fprintf(h.out, "%s %s/%s, %d cores", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	// How busy the machine was explains a spread.
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if fields := strings.Fields(string(load)); len(fields) > 0 {
			fmt.Fprintf(h.out, ", load average %s", fields[0])
		}
	}
	fmt.Fprintln(h.out)
	fmt.Fprintf(h.out, rowFormat, "figure", "value", "unit", "spread", "peer", "value", "ratio")
}

// line prints a figure as soon as it is there.
func (h *harness) line(f Figure) {
	peer, peerValue, ratio := "-", "-", "-"
	if f.Ratio != nil {
		peer, peerValue, ratio = f.Peer, number(f.peerValue), number(*f.Ratio)
	}
	fmt.Fprintf(h.out, rowFormat, f.Name, number(f.Value), f.Unit, fmt.Sprintf("%.0f%%", f.spread*100), peer, peerValue, ratio)
}

// skippedLines names what could not be measured here.
func (h *harness) skippedLines() {
	for _, s := range h.skipped {
		fmt.Fprintf(h.out, "skipped %s\n", s)
	}
}

// number is v with three digits that mean something.
func number(v float64) string {
	switch a := max(v, -v); {
	case a == 0:
		return "0"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.01:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// writeJSON replaces the file with the figures.
func writeJSON(file string, figures []Figure) error {
	data, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
