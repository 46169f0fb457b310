package vectors

import (
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// TestDeviations: a deviation excuses exactly what it says.
func TestDeviations(t *testing.T) {
	in, out := sample(t, 1), sample(t, 2)
	right := only(dataplane.SideIPv6, out)
	known := []Deviation{{Case: "known", Why: "a chapter", Says: []string{"ipv6 side: missing"}}}
	tests := []struct {
		name    string
		of      string
		out     [2][][]byte
		verdict Verdict
		says    string
	}{
		{"as it says", "known", [2][][]byte{}, Skipped, "a chapter"},
		{"passes", "known", right, Failed, "known to deviate (a chapter)"},
		{"fails otherwise", "known", only(dataplane.SideIPv4, in), Failed, "ipv4 side: unexpected"},
		{"of another case", "unknown", [2][][]byte{}, Failed, "missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cases := []Case{{Name: tt.of, In: only(dataplane.SideIPv4, in), Out: right}}
			Deviate(cases, known)
			r, _ := run(cases[0], (&scripted{out: tt.out}).start)
			if r.Verdict != tt.verdict || !strings.Contains(strings.Join(r.Notes, "\n"), tt.says) {
				t.Errorf("%s %q, want %s with %q", r.Verdict, r.Notes, tt.verdict, tt.says)
			}
		})
	}
	cases := []Case{{Name: "known"}}
	Deviate(cases, known)
	if r, _ := run(cases[0], (&scripted{}).unsupported); r.Verdict != Skipped || !strings.Contains(r.Notes[0], ErrUnsupported.Error()) {
		t.Errorf("not supported: %s %q", r.Verdict, r.Notes)
	}
}
