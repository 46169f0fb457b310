package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
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
	formatCSV   format = "csv"
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
	case formatTable, formatJSON, formatCSV:
		*f = format(text)
		return nil
	}
	return fmt.Errorf("must be table, json or csv")
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
	csv *csv.Writer   // nil for a table
}

func newPrinter(w io.Writer, as format) *printer {
	out := bufio.NewWriter(w)
	p := &printer{w: tabwriter.NewWriter(out, 0, 8, 2, ' ', 0), out: out}
	if as == formatCSV {
		p.csv = csv.NewWriter(out)
	}
	return p
}

// row prints one line.
func (p *printer) row(cells ...any) {
	if p.csv != nil {
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = fmt.Sprint(c)
		}
		// The error is kept, and flush returns it.
		_ = p.csv.Write(texts)
		return
	}
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(p.w, "\t")
		}
		fmt.Fprint(p.w, c)
	}
	fmt.Fprintln(p.w)
}

// align ends a group of rows whose columns are as wide as they need.
func (p *printer) align() error {
	if p.csv != nil {
		p.csv.Flush()
		return p.csv.Error()
	}
	return p.w.Flush()
}

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

// printItems prints a list whose items arrive one by one.
func printItems[T any](w io.Writer, as format, head []any, items iter.Seq2[T, error], row func(T) []any) error {
	if as == formatJSON {
		return streamJSON(w, items)
	}
	p := newPrinter(w, as)
	p.row(head...)
	n := 0
	for item, err := range items {
		if err != nil {
			return err
		}
		p.row(row(item)...)
		if n++; n%rowsAligned == 0 {
			if err := p.align(); err != nil {
				return err
			}
		}
	}
	return p.flush()
}

func softwireColumns(counters, problems bool) (head []any, row func(api.Softwire) []any) {
	head = []any{"BINDING-IPV4-ADDR", "PSID-OFFSET", "PSID-LEN", "PSID", "PORTS", "BINDING-IPV6INFO", "BR-IPV6-ADDR"}
	if counters {
		head = append(head, "TO-B4-PACKETS", "TO-B4-BYTES", "FROM-B4-PACKETS", "FROM-B4-BYTES", "COUNTERS-OF")
	}
	if problems {
		head = append(head, "PROBLEM")
	}
	return head, func(s api.Softwire) []any {
		cells := []any{s.IPv4, s.PSIDOffset, s.PSIDLen, s.PSID, ports(s.PSIDOffset, s.PSIDLen, s.PSID), s.B4, s.BR}
		if counters {
			cells = append(cells, trafficCells(s.ToB4)...)
			cells = append(append(cells, trafficCells(s.FromB4)...), cmp.Or(s.CountersOf, "-"))
		}
		if problems {
			cells = append(cells, s.Problem)
		}
		return cells
	}
}

func trafficCells(t *api.Traffic) []any {
	if t == nil {
		return []any{"-", "-"}
	}
	return []any{t.Packets, t.Bytes}
}

// ports is the first range of a port set and how many follow.
func ports(a, k uint8, psid uint16) string {
	set, err := portset.Of(a, k, psid)
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
