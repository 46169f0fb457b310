package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	poolconfig "github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// load measures how long it takes to have a binding table of a million.
func (s scale) load(context.Context) ([]spec, func() error, error) {
	all, err := makeBindings(s.bindings)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "lw4o6-bench-")
	if err != nil {
		return nil, nil, err
	}
	closeFiles := func() error { return os.RemoveAll(dir) }
	jsonFile, csvFile, yamlFile := filepath.Join(dir, "b.json"), filepath.Join(dir, "b.csv"), filepath.Join(dir, "b.yaml")
	err = errors.Join(
		writeBindings(jsonFile, all, `{"ietf-softwire-br:binding-table": {"binding-entry": [`, ",", jsonRow, "]}}"),
		writeBindings(csvFile, all, "binding-ipv4-addr,psid,binding-ipv6info\n", "", csvRow, ""),
		writeBindings(yamlFile, all, "", "", yamlRow, ""),
	)
	if err != nil {
		return nil, closeFiles, err
	}
	return []spec{
		{name: "load-1M-rfc8676-json", unit: "s", ours: loadFile(jsonFile, len(all)), peer: "encoding/json, tokens only", theirs: timed(jsonFile, len(all), readTokens)},
		{name: "load-1M-csv", unit: "s", ours: loadFile(csvFile, len(all)), peer: "encoding/csv, rows only", theirs: timed(csvFile, len(all), readRows)},
		{name: "load-1M-yaml", unit: "s", ours: loadFile(yamlFile, len(all)), peer: "the CSV file", theirs: loadFile(csvFile, len(all))},
		{name: "table-1M", unit: "s", ours: fillTable(all), peer: "Go map of the bindings", theirs: fillMap(all)},
		{name: "small-batches", unit: "16-changes/s", ours: s.batches(all), peer: "Go map of the bindings", theirs: s.mapBatches(all)},
	}, closeFiles, nil
}

// loadFile measures the seconds from file to table.
func loadFile(file string, want int) measure {
	pools := poolconfig.Pools{{Name: "bench", Prefixes: []netip.Prefix{pool}, PSIDLen: psidLen, BR: brAddress}}
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		table, err := bindings.Loader{Pools: pools.Index()}.Load(ctx, bindings.Config{Files: []bindings.File{{Path: file}}})
		if err != nil {
			return 0, err
		}
		if n := table.Snapshot().Len(); n != want {
			return 0, fmt.Errorf("%d softwires, want %d", n, want)
		}
		return time.Since(start).Seconds(), nil
	}
}

func jsonRow(w io.Writer, s softwire.Softwire) error {
	_, err := fmt.Fprintf(w, "\n{\"binding-ipv6info\": \"%s\", \"binding-ipv4-addr\": \"%s\", \"port-set\": {\"psid-len\": %d, \"psid\": %d}, \"br-ipv6-addr\": \"%s\"}",
		s.B4, s.IPv4, psidLen, s.PortSet.PSID(), s.BR)
	return err
}

func csvRow(w io.Writer, s softwire.Softwire) error {
	_, err := fmt.Fprintf(w, "%s,%d,%s\n", s.IPv4, s.PortSet.PSID(), s.B4)
	return err
}

func yamlRow(w io.Writer, s softwire.Softwire) error {
	_, err := fmt.Fprintf(w, "- {binding-ipv4-addr: %s, psid: %d, binding-ipv6info: %q}\n", s.IPv4, s.PortSet.PSID(), s.B4)
	return err
}

// writeBindings writes a file of bindings.
func writeBindings(name string, all []softwire.Softwire, head, between string, row func(io.Writer, softwire.Softwire) error, tail string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = w.WriteString(head)
	for i, s := range all {
		if err != nil {
			break
		}
		if i > 0 {
			_, err = w.WriteString(between)
		}
		err = errors.Join(err, row(w, s))
	}
	_, tailErr := w.WriteString(tail)
	return errors.Join(err, tailErr, w.Flush(), f.Close())
}

// timed measures the seconds that read takes for a file, of which it returns
// the number of things read.
func timed(file string, least int, read func(io.Reader) (int, error)) measure {
	return func(context.Context) (float64, error) {
		start := time.Now()
		f, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		n, err := read(bufio.NewReaderSize(f, 256<<10))
		if err = errors.Join(err, f.Close()); err != nil {
			return 0, err
		}
		if n < least {
			return 0, fmt.Errorf("read %d, want at least %d", n, least)
		}
		return time.Since(start).Seconds(), nil
	}
}

func readTokens(r io.Reader) (n int, err error) {
	for d := json.NewDecoder(r); ; n++ {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

func readRows(r io.Reader) (n int, err error) {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	for ; ; n++ {
		if _, err := c.Read(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}
