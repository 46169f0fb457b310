package main

import (
	"errors"
	"math"
	"testing"
)

// TestSearchRate: a server that stands some rate is found to stand about that.
func TestSearchRate(t *testing.T) {
	for _, capacity := range []int{300, 1999, 2000, 2001, 7000, 9999, 31_000, 100_000} {
		tried := make(map[int]int)
		got, err := searchRate(func(rate int) (attempt, error) {
			tried[rate]++
			// What disturbs a first try is not the server.
			if rate <= capacity && (tried[rate] > 1 || rate%3 > 0) {
				return attempt{rate: float64(rate), lost: 0.009}, nil
			}
			return attempt{rate: float64(capacity), lost: 0.01}, nil
		})
		want := float64(min(capacity, highestRate))
		if err != nil || got > want || got < want*0.96 || len(tried) > 12 {
			t.Errorf("a server of %d per second: %v, %v after %v", capacity, got, err, tried)
		}
	}
	if _, err := searchRate(func(int) (attempt, error) { return attempt{lost: 1}, nil }); err == nil {
		t.Error("a server that answers nobody has a rate")
	}
	broken := errors.New("broken")
	if _, err := searchRate(func(int) (attempt, error) { return attempt{}, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// report is what perfdhcp 2.2 wrote.
const report = `Running: perfdhcp -6 -e prefix-only -r 8000 -R 10000000 -p 3 -o 6,0060 -l c0
Scenario: basic.
Multi-thread mode enabled.
***Rate statistics***
Rate: 7936.87 4-way exchanges/second, expected rate: 8000

***Malformed Packets***
Malformed packets: 0
***Statistics for: SOLICIT-ADVERTISE***
sent packets: 23999
received packets: 23909
drops: 90
drops ratio: 0.375016 %
orphans: 0

***Statistics for: REQUEST-REPLY***
sent packets: 23909
received packets: 23852
drops: 57
drops ratio: 0.238 %
orphans: 0
`

func TestReadPerfdhcp(t *testing.T) {
	a, err := readPerfdhcp(report)
	if err != nil || a.rate != 7936.87 || math.Abs(a.lost-0.00375016) > 1e-9 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, bad := range []string{"", "Rate: 7936.87 4-way exchanges/second, expected rate: 8000\n", report + "drops ratio: 0 %\n"} {
		if a, err := readPerfdhcp(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, a)
		}
	}
}
