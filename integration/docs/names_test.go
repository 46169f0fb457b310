package docs

import (
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
	"github.com/lwaftr/lw4o6/plugin/metrics"
	"github.com/lwaftr/lw4o6/vppdrv"
)

// TestCounters: the tables list every event of the forwarder with its meaning,
// in order, and nothing else.
func TestCounters(t *testing.T) {
	p := load(t, forwardingPage)
	type row struct{ Name, Meaning string }
	for _, tt := range []struct {
		head string
		drop bool
	}{{"Drop counter", true}, {"Counter", false}} {
		var got, want []row
		names, meanings := p.column(tt.head)
		for i := range names {
			got = append(got, row{names[i], meanings[i]})
		}
		for e := range forwarder.Events {
			if e.Drop() == tt.drop {
				want = append(want, row{e.String(), e.Meaning()})
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("docs/%s, tables %q: -code +page:\n%s", p.name, tt.head, diff)
		}
	}
}

// TestVPPCounters is the same for the counters that only VPP has.
func TestVPPCounters(t *testing.T) {
	p := load(t, vppPage)
	type row struct{ Name, Meaning string }
	for _, tt := range []struct {
		head string
		drop bool
	}{{"Drop counter of VPP", true}, {"Counter of VPP", false}} {
		var got, want []row
		names, meanings := p.column(tt.head)
		for i := range names {
			got = append(got, row{names[i], meanings[i]})
		}
		for _, e := range vppdrv.Events() {
			if e.Drop == tt.drop {
				want = append(want, row{e.Name, e.Meaning})
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("docs/%s, table %q: -code +page:\n%s", p.name, tt.head, diff)
		}
	}
}

// TestVPPMemory: what a VPP needs is what the driver asks for.
func TestVPPMemory(t *testing.T) {
	const threads, mebi = 5, 1 << 20
	number := func(cell string) int {
		n, err := strconv.Atoi(strings.NewReplacer(",", "", " MiB", "").Replace(cell))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	checked := 0
	for _, table := range load(t, vppPage).tables {
		if table.rows[0][0] != "IPv4 addresses" {
			continue
		}
		for _, row := range table.rows[1:] {
			checked++
			addresses, sets := number(row[0]), 1<<number(row[1])
			heap, statistics := vppdrv.Sizing(addresses, addresses*max(sets, 2), threads)
			want := []int{addresses * sets, int(heap / mebi), int(statistics / mebi)}
			if got := []int{number(row[2]), number(row[3]), number(row[4])}; !slices.Equal(got, want) {
				t.Errorf("%s addresses of psid-len %s: the page says %d, the driver %d", row[0], row[1], got, want)
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d rows were looked at", checked)
	}
}

// TestDeviceCounters is the same for the causes of package netio.
func TestDeviceCounters(t *testing.T) {
	p := load(t, forwardingPage)
	var want []string
	for _, d := range netio.NewMemory(1).Stats().Devices[0].Drops {
		want = append(want, d.Cause)
	}
	got, _ := p.column("Device counter")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/%s: -code +page:\n%s", p.name, diff)
	}
}

// TestMetrics: the page lists every metric, in the order of the code.
func TestMetrics(t *testing.T) {
	var want, got [][]string
	for _, f := range metrics.Families() {
		labels := ""
		if len(f.Labels) > 0 {
			labels = "`" + strings.Join(f.Labels, "`, `") + "`"
		}
		want = append(want, []string{"`" + f.Name + "`", f.Help, labels})
	}
	for _, table := range load(t, metricsPage).tables {
		if table.rows[0][0] == "Metric" {
			got = append(got, table.rows[1:]...)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/%s: -code +page:\n%s", metricsPage, diff)
	}
}

// TestNames: every counter and key that a page names exists.
func TestNames(t *testing.T) {
	for _, name := range []string{runningPage, forwardingPage, vppPage} {
		p := load(t, name)
		checked, problems := unknownNames(p)
		if checked < 10 {
			t.Errorf("docs/%s: only %d names were looked at", name, checked)
		}
		for _, problem := range problems {
			t.Error(problem)
		}
	}
	if _, problems := unknownNames(parse("bad.md", "`icmpv4.rate.totals`, `drop-nothing` and `hairpin` `io.queues`")); len(problems) != 2 {
		t.Errorf("a page with two wrong names: %q", problems)
	}
}

var (
	dotted  = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$`)
	counted = regexp.MustCompile(`^(drop|exception|echo-reply|sent|limited|relayed)-[a-z0-9-]+$`)
)

// unknownNames looks at the names of keys with a dot, and at what looks like a
// counter.
func unknownNames(p page) (checked int, problems []string) {
	var keys []string
	for _, k := range config.Keys(reflect.TypeFor[plugin.Config]()) {
		keys = append(keys, "."+strings.ReplaceAll(k.Path, "[0]", ""))
	}
	isKey := func(name string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.HasSuffix(k, "."+name) })
	}
	isEvent := func(name string) bool {
		for e := range forwarder.Events {
			if e.String() == name {
				return true
			}
		}
		return slices.ContainsFunc(vppdrv.Events(), func(e dataplane.Event) bool { return e.Name == name })
	}
	for _, s := range p.spans {
		var known bool
		switch {
		case strings.HasPrefix(s.text, "net."), slices.Contains([]string{".yaml", ".csv", ".json", ".md"}, path.Ext(s.text)):
			continue
		case dotted.MatchString(s.text):
			known = isKey(s.text)
		case counted.MatchString(s.text):
			// Some keys look like counters.
			known = isEvent(s.text) || isKey(s.text)
		default:
			continue
		}
		checked++
		if !known {
			problems = append(problems, fmt.Sprintf("docs/%s:%d: there is no %s", p.name, s.line, s.text))
		}
	}
	return checked, problems
}
