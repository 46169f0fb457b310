package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBenches runs everything but VPP, which TestVPP does, at a small scale: what
// a figure demands of its packets must hold here too. The figures themselves say
// nothing.
func TestBenches(t *testing.T) {
	// The commands are not built here: the tests of package scene run them.
	small := scale{
		bindings: 2000, fewBindings: 2000, flows: 500, largeFlows: 512, leaseCount: 500,
		rateTime: time.Millisecond, attackTime: 50 * time.Millisecond, smallBatches: 50,
		holds: 200_000, queries: 100,
	}
	file := filepath.Join(t.TempDir(), "build", "bench.json")
	var out bytes.Buffer
	withoutVPP := func(s scale) []bench {
		return slices.DeleteFunc(benches(s), func(b bench) bool { return b.name == "vpp" })
	}
	if err := run(t.Context(), []string{"-repeat", "1", "-bin", t.TempDir(), "-o", file}, small, withoutVPP, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	figures := readFigures(t, file)
	if len(figures) < 15 {
		t.Errorf("%d figures:\n%s", len(figures), &out)
	}
	for _, f := range figures {
		switch f["name"] {
		case "encapsulate-64-allocations", "decapsulate-64-allocations":
			if f["value"] != 0.0 || f["peer"] != "" || f["ratio"] != nil {
				t.Errorf("got %v, want 0 and no peer", f)
			}
		case "attack-mix-delivered":
			if f["value"] != 1.0 {
				t.Errorf("got %v, want every legitimate packet", f)
			}
		case "attack-mix-errors":
			// A rate limit lets a second's worth pass at first.
			most := 1 + time.Second.Seconds()/small.attackTime.Seconds()
			if ratio, ok := f["ratio"].(float64); !ok || ratio > most {
				t.Errorf("got %v, beyond the limit", f)
			}
		}
	}
}

func readFigures(t *testing.T, file string) []map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var figures []map[string]any
	if err := json.Unmarshal(data, &figures); err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		for _, key := range []string{"name", "value", "unit", "peer", "ratio"} {
			if _, ok := f[key]; !ok || len(f) != 5 {
				t.Errorf("%v: want name, value, unit, peer and ratio", f)
			}
		}
	}
	return figures
}

// one is a bench of the specs given.
func one(specs ...spec) []bench {
	return []bench{{"one", func(context.Context) ([]spec, func() error, error) { return specs, nil, nil }}}
}

func list(all []bench) func(scale) []bench {
	return func(scale) []bench { return all }
}

// values gives out one value after the other.
func values(v ...float64) measure {
	return func(context.Context) (float64, error) {
		first := v[0]
		v = append(v[1:], first)
		return first, nil
	}
}

// TestFigures shows how measurements become figures.
func TestFigures(t *testing.T) {
	failing := func(context.Context) (float64, error) { return 0, errors.New("out of packets") }
	tests := []struct {
		name  string
		spec  spec
		value float64
		ratio float64 // 0: none
		fails string
	}{
		{"median of the rounds", spec{name: "a", ours: values(1, 100, 3)}, 3, 0, ""},
		{"ratio of each round", spec{name: "a", ours: values(2, 40, 6), peer: "p", theirs: values(1, 10, 2)}, 6, 3, ""},
		{"once", spec{name: "a", ours: values(1, 100, 3), once: true}, 1, 0, ""},
		{"fails", spec{name: "a", ours: failing}, 0, 0, "out of packets"},
		{"peer fails", spec{name: "a", ours: values(1), peer: "p", theirs: failing}, 0, 0, "peer p: out of packets"},
		{"peer measured nothing", spec{name: "a", ours: values(1), peer: "p", theirs: values(0)}, 0, 0, "measured 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			file := filepath.Join(t.TempDir(), "f.json")
			err := run(t.Context(), []string{"-repeat", "3", "-o", file}, scale{}, list(one(tt.spec)), &out)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("got %v, want %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f := readFigures(t, file)[0]
			ratio, _ := f["ratio"].(float64)
			if f["value"] != tt.value || ratio != tt.ratio {
				t.Errorf("got %v, want %v and ratio %v", f, tt.value, tt.ratio)
			}
		})
	}
}

// TestRun shows what a run does besides measuring.
func TestRun(t *testing.T) {
	a, b := spec{name: "a", ours: values(1)}, spec{name: "b", ours: values(2)}
	missing := bench{"missing", func(context.Context) ([]spec, func() error, error) {
		return nil, nil, errors.Join(errSkip, errors.New("no iperf3"))
	}}
	broken := bench{"broken", func(context.Context) ([]spec, func() error, error) {
		return nil, nil, errors.New("no memory")
	}}
	closing := bench{"closing", func(context.Context) ([]spec, func() error, error) {
		return []spec{a}, func() error { return errors.New("cannot clean up") }, nil
	}}
	tests := []struct {
		name   string
		args   []string
		all    []bench
		prints []string
		fails  string
	}{
		{"selected", []string{"-run", "/^b$"}, one(a, b), []string{"\nb "}, ""},
		{"others are not prepared", []string{"-run", "one"}, []bench{broken, closing, one(a)[0]}, []string{"\na "}, ""},
		{"nothing selected", []string{"-run", "one/c"}, one(a, b), nil, "nothing was measured: there are the benches one"},
		{"bad expression", []string{"-run", "("}, one(a), nil, "-run"},
		{"bad expression of figures", []string{"-run", "one/("}, one(a), nil, "-run"},
		{"no repetition", []string{"-repeat", "0"}, one(a), nil, "-repeat"},
		{"skipped", nil, append(one(a), missing), []string{"\na ", "skipped missing: ", "no iperf3"}, ""},
		{"one fails, the next is measured", nil, append([]bench{broken}, one(a)...), []string{"\na "}, "broken: no memory"},
		{"cannot clean up", nil, []bench{closing}, []string{"\na "}, "cannot clean up"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), tt.args, scale{}, list(tt.all), &out)
			if (err != nil) != (tt.fails != "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("got %v, want %q", err, tt.fails)
			}
			for _, want := range tt.prints {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in:\n%s", want, &out)
				}
			}
			if tt.name == "selected" && strings.Contains(out.String(), "\na ") {
				t.Errorf("a was measured:\n%s", &out)
			}
		})
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := run(stopped, nil, scale{}, list(one(a)), &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// TestReceived reads what iperf3 says.
func TestReceived(t *testing.T) {
	tests := []struct {
		name, output string
		want         float64
		fails        string
	}{
		{"a result", `{"end": {"sum_sent": {"bits_per_second": 9e9}, "sum_received": {"bits_per_second": 2.5e9}}}`, 2.5, ""},
		{"an error", `{"start": {}, "error": "unable to connect"}`, 0, "unable to connect"},
		{"nothing", `{"end": {}}`, 0, "nothing was received"},
		{"no JSON", "iperf3: killed", 0, "iperf3: killed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := received(tt.output)
			if got != tt.want || (err != nil) != (tt.fails != "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("got %v and %v, want %v and %q", got, err, tt.want, tt.fails)
			}
		})
	}
}
