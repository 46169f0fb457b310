package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// format is how an answer is printed: the value of -o.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

// String implements pflag.Value.
func (f *format) String() string {
	if *f == "" {
		return string(formatTable)
	}
	return string(*f)
}

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	switch format(text) {
	case formatTable, formatJSON:
		*f = format(text)
		return nil
	}
	return fmt.Errorf("must be table or json")
}

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// streamJSON prints a list whose items arrive one by one.
func streamJSON[T any](w io.Writer, items iter.Seq2[T, error]) error {
	out := bufio.NewWriter(w)
	separator := "[\n"
	for item, err := range items {
		if err != nil {
			return err
		}
		b, err := json.Marshal(item)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s  %s", separator, b)
		separator = ",\n"
	}
	if separator == "[\n" {
		fmt.Fprint(out, "[")
	}
	fmt.Fprint(out, "\n]\n")
	return out.Flush()
}

// printer prints columns. The first error of writing is what flush returns.
type printer struct {
	w   *tabwriter.Writer
	out *bufio.Writer // a tabwriter writes each cell by itself
}

func newPrinter(w io.Writer) *printer {
	out := bufio.NewWriter(w)
	return &printer{tabwriter.NewWriter(out, 0, 8, 2, ' ', 0), out}
}

// row prints one line; cells are separated by columns.
func (p *printer) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(p.w, "\t")
		}
		fmt.Fprint(p.w, c)
	}
	fmt.Fprintln(p.w)
}

// align ends a group of rows whose columns are as wide as they need.
func (p *printer) align() error { return p.w.Flush() }

func (p *printer) flush() error {
	if err := p.align(); err != nil {
		return err
	}
	return p.out.Flush()
}

func printStatus(p *printer, s api.Status) {
	p.row("router", strings.TrimSpace(s.Name+" "+s.Version))
	p.row("started", s.Started.Format(time.RFC3339))
	p.row("ready", yesNo(s.Ready))
	state := s.Dataplane.State
	if s.Dataplane.Reason != "" {
		state += ": " + s.Dataplane.Reason
	}
	p.row("data plane", s.Dataplane.Name+", "+state)
	if s.Dataplane.VPP != nil {
		printVPP(p, *s.Dataplane.VPP)
	}
	w := s.Softwires
	p.row("softwires", fmt.Sprintf("%d, of which %d programmed; %d changes pending, %d not supported",
		w.Desired, w.Programmed, w.Pending, w.Unsupported))
	sync := "never"
	if w.LastSync != nil {
		sync = w.LastSync.Format(time.RFC3339)
	}
	p.row("last sync", sync)
	for _, problem := range s.Problems {
		p.row("problem", problem)
	}
}

func printVPP(p *printer, v api.VPP) {
	line := fmt.Sprintf("%s, pid %d", v.Version, v.PID)
	if v.Started != nil {
		line += ", started " + v.Started.Format(time.RFC3339)
	}
	p.row("vpp", fmt.Sprintf("%s, answers in %.1f ms", line, 1000*v.AnswerSeconds))
	for _, i := range v.Interfaces {
		state := "up"
		switch {
		case !i.Enabled:
			state = "switched off"
		case !i.Link:
			state = "no link"
		}
		p.row("vpp interface", fmt.Sprintf("%s (%s side), %s", i.Name, i.Side, state))
	}
	for n, t := range v.Threads {
		name := "main thread"
		if n > 0 {
			name = fmt.Sprintf("worker %d", n)
		}
		p.row("vpp load", fmt.Sprintf("%s: %d packets at a time, %d rounds a second", name, t.VectorRate, t.LoopsPerSecond))
	}
	const mebi = 1 << 20
	p.row("vpp memory", fmt.Sprintf("heap %d of %d MiB, counters %d of %d MiB",
		v.Heap.Used/mebi, v.Heap.Total/mebi, v.Statistics.Used/mebi, v.Statistics.Total/mebi))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func printPools(p *printer, pools []api.Pool) {
	p.row("NAME", "PREFIXES", "PSID-OFFSET", "PSID-LEN", "BR-IPV6-ADDR", "CAPACITY", "SOFTWIRES")
	for _, one := range pools {
		prefixes := make([]string, len(one.Prefixes))
		for i, prefix := range one.Prefixes {
			prefixes[i] = prefix.String()
		}
		p.row(one.Name, strings.Join(prefixes, ","), one.PSIDOffset, one.PSIDLen, one.BR, one.Capacity, one.Softwires)
	}
}

func printCounters(p *printer, c api.Counters, all bool) {
	p.row("COUNTER", "PACKETS", "BYTES", "MEANING")
	p.row("encapsulated", c.Encapsulated.Packets, c.Encapsulated.Bytes, "from the IPv4 side to a lwB4")
	p.row("decapsulated", c.Decapsulated.Packets, c.Decapsulated.Bytes, "from a lwB4 to the IPv4 side")
	p.row("hairpinned", c.Hairpinned.Packets, c.Hairpinned.Bytes, "from one lwB4 to another")
	printEvents(p, "", c.Events, all)
	for _, d := range c.Devices {
		p.row(d.Name+" received", d.Received.Packets, d.Received.Bytes, "")
		p.row(d.Name+" sent", d.Sent.Packets, d.Sent.Bytes, "")
		printEvents(p, d.Name+" ", d.Drops, all)
	}
}

func printEvents(p *printer, prefix string, events []api.Event, all bool) {
	for _, e := range events {
		if all || e.Packets > 0 {
			p.row(prefix+e.Name, e.Packets, "", e.Meaning)
		}
	}
}

// rowsAligned bounds what is held for aligning columns.
const rowsAligned = 1000

func printSoftwires(p *printer, softwires iter.Seq2[api.Softwire, error], counters, problems bool) error {
	head := []any{"BINDING-IPV4-ADDR", "PSID-OFFSET", "PSID-LEN", "PSID", "PORTS", "BINDING-IPV6INFO", "BR-IPV6-ADDR"}
	if counters {
		head = append(head, "TO-B4-PACKETS", "TO-B4-BYTES", "FROM-B4-PACKETS", "FROM-B4-BYTES", "COUNTERS-OF")
	}
	if problems {
		head = append(head, "PROBLEM")
	}
	n := 0
	p.row(head...)
	for s, err := range softwires {
		if err != nil {
			return err
		}
		cells := []any{s.IPv4, s.PSIDOffset, s.PSIDLen, s.PSID, ports(s), s.B4, s.BR}
		if counters {
			cells = append(cells, trafficCells(s.ToB4)...)
			cells = append(append(cells, trafficCells(s.FromB4)...), cmp.Or(s.CountersOf, "-"))
		}
		if problems {
			cells = append(cells, s.Problem)
		}
		p.row(cells...)
		if n++; n%rowsAligned == 0 {
			if err := p.align(); err != nil {
				return err
			}
		}
	}
	return nil
}

func trafficCells(t *api.Traffic) []any {
	if t == nil {
		return []any{"-", "-"}
	}
	return []any{t.Packets, t.Bytes}
}

// ports is the first range of s and how many follow.
func ports(s api.Softwire) string {
	set, err := portset.Of(s.PSIDOffset, s.PSIDLen, s.PSID)
	if err != nil {
		return "-"
	}
	first, more := "-", -1
	for r := range set.Ranges() {
		if more++; more == 0 {
			first = r.String()
		}
	}
	if more > 0 {
		return fmt.Sprintf("%s and %d more", first, more)
	}
	return first
}
