package bindings

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const csvHeader = "binding-ipv4-addr,psid,binding-ipv6info\n"

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.csv", csvHeader+"192.0.2.1,1,2001:db8::1\n192.0.2.1,2,2001:db8::2\n")
	write(t, dir, "b.yaml", "- {binding-ipv4-addr: 192.0.2.2, psid: 1, binding-ipv6info: 2001:db8::3}\n")
	c := write(t, t.TempDir(), "c", `{"ietf-softwire-br:binding-entry": [{"binding-ipv4-addr": "198.51.100.1", "binding-ipv6info": "2001:db8::4", "port-set": {"psid-len": 0, "psid": 0}}]}`)
	cfg := Config{
		Static: []Entry{{IPv4: netip.MustParseAddr("192.0.2.3"), IPv6Info: info("2001:db8::5"), PSID: ptr[uint16](9)}},
		Files:  []File{{Path: "a.csv"}, {Path: "b.yaml"}, {Path: c, Format: JSON}},
	}
	var progress []Progress
	table, err := Loader{Pools: testPools(t), Folder: dir, Progress: func(p Progress) { progress = append(progress, p) }}.Load(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for s := range table.Snapshot().All() {
		got = append(got, s.String())
	}
	want := []string{
		"192.0.2.1 psid 6/8/1 lwB4 2001:db8::1 BR 2001:db8:ffff::1",
		"192.0.2.1 psid 6/8/2 lwB4 2001:db8::2 BR 2001:db8:ffff::1",
		"192.0.2.2 psid 6/8/1 lwB4 2001:db8::3 BR 2001:db8:ffff::1",
		"192.0.2.3 psid 6/8/9 lwB4 2001:db8::5 BR 2001:db8:ffff::1",
		"198.51.100.1 lwB4 2001:db8::4 BR 2001:db8:ffff::1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(progress) != 3 || progress[0].Rows != 2 || progress[0].Bytes != progress[0].Size || progress[2].Total != 5 {
		t.Errorf("progress was %+v", progress)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	addr := netip.MustParseAddr
	write(t, dir, "dup.csv", csvHeader+"192.0.2.1,1,2001:db8::1\n192.0.2.2,1,2001:db8::2\n192.0.2.1,1,2001:db8::3\n")
	write(t, dir, "overlap.yaml", "- {binding-ipv4-addr: 192.0.2.1, psid: 5, binding-ipv6info: 2001:db8::1}\n"+
		"- {binding-ipv4-addr: 192.0.2.1, psid-len: 7, psid: 2, binding-ipv6info: 2001:db8::2}\n")
	write(t, dir, "rows.csv", csvHeader+"203.0.113.1,1,2001:db8::1\n192.0.2.1,256,2001:db8::1\nx,1,2001:db8::1\n192.0.2.9,1,2001:db8::9\n")
	write(t, dir, "br.csv", csvHeader+"192.0.2.1,1,2001:db8:ffff::1\n")
	const conflict = "conflicting softwires"
	tests := []struct {
		name  string
		cfg   Config
		want  []string // each error begins with the part before "..." and holds the part after
		files bool
	}{
		{"twice in a file", Config{Files: []File{{Path: "dup.csv"}}}, []string{dir + "/dup.csv:4: ..." + conflict}, true},
		{"overlap in a file", Config{Files: []File{{Path: "overlap.yaml"}}}, []string{dir + "/overlap.yaml:2: ..." + conflict}, true},
		{"lwB4 that is a BR", Config{Files: []File{{Path: "br.csv"}}}, []string{dir + "/br.csv:2: ..." + conflict}, true},
		{"twice in static and file", Config{
			Static: []Entry{{IPv4: addr("192.0.2.2"), IPv6Info: info("2001:db8::5"), PSID: ptr[uint16](1)}},
			Files:  []File{{Path: "dup.csv"}}},
			[]string{dir + "/dup.csv:3: ..." + conflict, dir + "/dup.csv:4: ..." + conflict}, true},
		{"every bad row", Config{Files: []File{{Path: "rows.csv"}}}, []string{
			dir + "/rows.csv:2: binding-ipv4-addr: 203.0.113.1 is in no pool...",
			dir + "/rows.csv:3: psid: psid 256...",
			dir + `/rows.csv:4: binding-ipv4-addr: "x" is not an IP address...`}, true},
		{"static", Config{Static: []Entry{
			{IPv4: addr("192.0.2.2"), IPv6Info: info("2001:db8::5"), PSID: ptr[uint16](1)},
			{IPv4: addr("192.0.2.2"), IPv6Info: info("2001:db8::6"), PSID: ptr[uint16](1)},
			{IPv4: addr("192.0.2.2"), IPv6Info: info("2001:db8::6")}}},
			[]string{"static[2].psid: is missing...", "static[1]: ..." + conflict}, false},
		{"files that cannot be read", Config{Files: []File{{Path: "none.csv"}, {Path: ".", Format: CSV}, {Path: "x"}}}, []string{
			"files[0].path: none.csv: no such file or directory...",
			"files[1].path: .: is a directory...",
			"files[2].format: is needed..."}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table, err := Loader{Pools: testPools(t), Folder: dir}.Load(t.Context(), tt.cfg)
			if table != nil || err == nil {
				t.Fatalf("got a table and error %v", err)
			}
			errs := element.Each(err)
			if len(errs) != len(tt.want) {
				t.Fatalf("%d errors, want %d:\n%v", len(errs), len(tt.want), err)
			}
			for i, e := range errs {
				begin, holds, _ := strings.Cut(tt.want[i], "...")
				if text := e.Error(); !strings.HasPrefix(text, begin) || !strings.Contains(text, holds) {
					t.Errorf("error %d is %q, want %q", i, text, tt.want[i])
				}
				var placed *config.Error
				if errors.As(e, &placed) != tt.files {
					t.Errorf("error %d is %T", i, e)
				}
				if holds == conflict && !errors.Is(e, softwire.ErrConflict) {
					t.Errorf("error %d is not ErrConflict", i)
				}
			}
		})
	}
}

func TestLoadGivesUp(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bad.csv", csvHeader+strings.Repeat("x,1,2001:db8::1\n", 10*maxBad))
	_, err := Loader{Pools: testPools(t), Folder: dir}.Load(t.Context(), Config{Files: []File{{Path: "bad.csv"}}})
	if n := len(element.Each(err)); n != maxBad {
		t.Errorf("%d errors, want %d", n, maxBad)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	write(t, dir, "good.csv", csvHeader+"192.0.2.1,1,2001:db8::1\n192.0.2.1,2,2001:db8::1\n")
	if _, err := (Loader{Pools: testPools(t), Folder: dir}).Load(ctx, Config{Files: []File{{Path: "good.csv"}}}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// million writes n softwires of 10.0.0.0/8 in format.
func million(t testing.TB, path string, format Format, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	switch format {
	case CSV:
		fmt.Fprint(w, csvHeader)
	case JSON:
		fmt.Fprint(w, `{"ietf-softwire-br:br-instances":{"binding":{"bind-instance":[{"name":"x","binding-table":{"binding-entry":[`)
	}
	for i := range n {
		v4 := netip.AddrFrom4([4]byte{10, byte(i / 64 >> 16), byte(i / 64 >> 8), byte(i / 64)})
		psid := i % 64
		b4 := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(i >> 16), byte(i >> 8), byte(i), 8: 0, 15: 1})
		switch format {
		case CSV:
			fmt.Fprintf(w, "%s,%d,%s\n", v4, psid, b4)
		case YAML:
			fmt.Fprintf(w, "- {binding-ipv4-addr: %s, psid: %d, binding-ipv6info: \"%s\"}\n", v4, psid, b4)
		case JSON:
			if i > 0 {
				fmt.Fprint(w, ",")
			}
			fmt.Fprintf(w, "\n  {\n    \"binding-ipv6info\": \"%s\",\n    \"binding-ipv4-addr\": \"%s\",\n    \"port-set\": {\n      \"psid-len\": 6,\n      \"psid\": %d\n    }\n  }", b4, v4, psid)
		}
	}
	if format == JSON {
		fmt.Fprint(w, "]}}]}}}\n")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestLoadMany loads enough rows in each format to cross every batch boundary.
func TestLoadMany(t *testing.T) {
	const n = 3*batchRows + 17
	for _, format := range []Format{JSON, CSV, YAML} {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			million(t, filepath.Join(dir, "f"), format, n)
			table, err := Loader{Pools: testPools(t), Folder: dir}.Load(t.Context(), Config{Files: []File{{Path: "f", Format: format}}})
			if err != nil {
				t.Fatal(err)
			}
			if got := table.Snapshot().Len(); got != n {
				t.Errorf("%d softwires, want %d", got, n)
			}
		})
	}
}

func BenchmarkLoad1M(b *testing.B) {
	const n = 1_000_000
	for _, format := range []Format{JSON, CSV, YAML} {
		b.Run(string(format), func(b *testing.B) {
			dir := b.TempDir()
			million(b, filepath.Join(dir, "f"), format, n)
			pools := testPools(b)
			for b.Loop() {
				table, err := Loader{Pools: pools, Folder: dir}.Load(b.Context(), Config{Files: []File{{Path: "f", Format: format}}})
				if err != nil || table.Snapshot().Len() != n {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Seconds())/float64(b.N), "s/table")
		})
	}
}
