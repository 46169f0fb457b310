package metrics

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestAlertsNameMetrics: the rules ask for metrics that exist, and each of them is
// tried in alerts_test.yaml.
func TestAlertsNameMetrics(t *testing.T) {
	known := make(map[string]bool)
	for _, f := range Families() {
		known[f.Name] = true
	}
	rules, tests := readFile(t, "alerts.yaml"), readFile(t, "alerts_test.yaml")
	checked := 0
	for _, name := range regexp.MustCompile(`lw4o6_[a-z0-9_]+`).FindAllString(rules+tests, -1) {
		checked++
		if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("there is no metric %s", name)
		}
	}
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(rules, -1)
	for _, a := range alerts {
		if !strings.Contains(tests, `{alertname="`+a[1]+`"}`) {
			t.Errorf("no test sees %s fire", a[1])
		}
	}
	if checked < 20 || len(alerts) < 10 {
		t.Errorf("only %d names and %d alerts were looked at", checked, len(alerts))
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAlerts has Prometheus itself check the rules, and try them.
func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool on the PATH (Debian package prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}
