package docs

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	pcpPage    = "pcp.md"
	bgpPage    = "bgp.md"
	dhcpv6Page = "dhcpv6.md"
)

var (
	testName = regexp.MustCompile("`([a-z0-9]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// TestConformance: every test that a row of the conformance list names exists,
// and every row that says that a demand is met names one.
func TestConformance(t *testing.T) {
	tests := make(map[string]bool)
	for _, folder := range []string{"pcp/pcpmsg", "pcp/client", "pcp/udp", "pcp", "plugin", "plugin/pool", "plugin/softwire", "plugin/lease", "plugin/provision", "plugin/forwarder", "integration/e2e", "bgp", "bgp/speaker", "integration/bgp", "coredhcp-plugin/s46", "coredhcp-plugin/delegation", "coredhcp-plugin/server", "coredhcp-plugin/source", "coredhcp-plugin/listen"} {
		pkg := path.Base(folder)
		files, err := filepath.Glob(filepath.Join("..", "..", folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
				tests[pkg+"."+m[1]] = true
			}
		}
	}
	for name, least := range map[string]int{pcpPage: 60, bgpPage: 14, dhcpv6Page: 40} {
		checked, problems := unproven(load(t, name), tests)
		if checked < least {
			t.Errorf("docs/%s: only %d rows were looked at", name, checked)
		}
		for _, problem := range problems {
			t.Error(problem)
		}
	}
	bad := parse("bad.md", "| RFC | Demand | Here | Test |\n| --- | --- | --- | --- |\n| 1 | a | as demanded | |\n| 2 | b | not done: no | |\n| 3 | c | as demanded | `client.TestNothing` |\n")
	if checked, problems := unproven(bad, tests); checked != 3 || len(problems) != 2 {
		t.Errorf("a page with two wrong rows of three: %d, %q", checked, problems)
	}
}

// unproven looks at the rows of tables whose last head is "Test".
func unproven(p page, tests map[string]bool) (checked int, problems []string) {
	for _, table := range p.tables {
		head := table.rows[0]
		if head[len(head)-1] != "Test" {
			continue
		}
		for _, row := range table.rows[1:] {
			checked++
			here, named := row[len(row)-2], testName.FindAllStringSubmatch(row[len(row)-1], -1)
			if len(named) == 0 && !strings.HasPrefix(here, "not done") {
				problems = append(problems, fmt.Sprintf("docs/%s: %q names no test", p.name, row))
			}
			for _, m := range named {
				if name := m[1] + "." + m[2]; !tests[name] {
					problems = append(problems, fmt.Sprintf("docs/%s: there is no %s", p.name, name))
				}
			}
		}
	}
	return checked, problems
}
