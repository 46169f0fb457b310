package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// perfdhcp is the DHCP clients of Kea.
const perfdhcp = "perfdhcp"

// attempt is what became of exchanges that were begun at some rate.
type attempt struct {
	rate float64 // of those that were completed, per second
	lost float64 // the larger share of those that were not, of both halves
}

// tolerable is the share of exchanges that may fail.
const tolerable = 0.01

// The rates that are tried. A server that stands the highest is faster than the
// clients.
const (
	lowestRate  = 250
	highestRate = 64_000
	refinements = 5
	// tries is how often a rate is tried at most: a moment in which the machine is
	// busy with something else is not the server's.
	tries = 2
)

// searchRate finds the highest rate of exchanges that a server stands: it doubles
// the rate until too many fail, and then halves the interval.
func searchRate(try func(rate int) (attempt, error)) (float64, error) {
	best, good, bad := 0.0, 0, 0
	for rate, refined := lowestRate*8, 0; refined <= refinements; {
		a, err := try(rate)
		for again := 1; again < tries && err == nil && a.lost >= tolerable; again++ {
			a, err = try(rate)
		}
		if err != nil {
			return 0, fmt.Errorf("%d exchanges per second: %w", rate, err)
		}
		if a.lost < tolerable {
			good, best = rate, max(best, a.rate)
		} else {
			bad = rate
		}
		switch {
		case bad == 0 && rate*2 > highestRate:
			return best, nil
		case bad == 0:
			rate *= 2
		case good == 0 && rate/2 < lowestRate:
			return 0, fmt.Errorf("%.0f%% fail at %d exchanges per second", 100*a.lost, rate)
		case good == 0:
			rate /= 2
		default:
			rate = (good + bad) / 2
			refined++
		}
	}
	return best, nil
}

// attempt has new clients make exchanges at a rate: each asks for a prefix, and for
// OPTION_S46_CONT_LW.
func (s scale) attempt(ctx context.Context, node *netlab.Namespace, rate int) (attempt, error) {
	p, err := node.Start(perfdhcp, "-6", "-l", dhcpDevice, "-e", "prefix-only", "-o", "6,0060", "-R", "10000000",
		"-r", strconv.Itoa(rate), "-p", strconv.Itoa(int(max(1, s.exchangeTime.Seconds()))))
	if err != nil {
		return attempt{}, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return attempt{}, errors.Join(ctx.Err(), p.Stop())
	}
	// Its exit code says whether anything was lost.
	a, err := readPerfdhcp(p.Output())
	if err != nil {
		return attempt{}, errors.Join(err, p.Wait())
	}
	return a, nil
}

var (
	perfdhcpRate = regexp.MustCompile(`(?m)^Rate: ([0-9.e+]+) 4-way exchanges/second`)
	perfdhcpLost = regexp.MustCompile(`(?m)^drops ratio: ([0-9.e+-]+) %`)
)

// readPerfdhcp reads the report of perfdhcp.
func readPerfdhcp(report string) (attempt, error) {
	rate, lost := perfdhcpRate.FindStringSubmatch(report), perfdhcpLost.FindAllStringSubmatch(report, -1)
	if rate == nil || len(lost) != 2 {
		return attempt{}, fmt.Errorf("not a report of perfdhcp:\n%s", report)
	}
	var a attempt
	var err error
	if a.rate, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return attempt{}, err
	}
	for _, half := range lost {
		percent, err := strconv.ParseFloat(half[1], 64)
		if err != nil {
			return attempt{}, err
		}
		a.lost = max(a.lost, percent/100)
	}
	return a, nil
}
