package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// family is all time series of one name.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	// always: it is there also while the router does not run.
	always  bool
	collect func(Reading, emitter)
}

// Family describes the time series of one name.
type Family struct {
	Name, Help string
	Labels     []string // besides "router"
}

// Families lists all that a Collector may have.
func Families() []Family {
	var all []Family
	for _, f := range families() {
		all = append(all, Family{f.name, f.help, f.labels})
	}
	return all
}

func families() []family {
	var all []family
	for _, some := range [][]family{routerFamilies(), softwireFamilies(), trafficFamilies(), leaseFamilies(), storeFamilies(), historyFamilies(), pcpFamilies(), dhcpv6Families(), announceFamilies()} {
		all = append(all, some...)
	}
	return all
}

func labels(names ...string) []string { return names }

func gauge(name, help string, labels []string, collect func(Reading, emitter)) family {
	return family{name: "lw4o6_" + name, help: help, kind: prometheus.GaugeValue, labels: labels, collect: collect}
}

func counter(name, help string, labels []string, collect func(Reading, emitter)) family {
	return family{name: "lw4o6_" + name, help: help, kind: prometheus.CounterValue, labels: labels, collect: collect}
}

// lending is for families of routers that lend port sets.
func lending(collect func(*provision.Stats, emitter)) func(Reading, emitter) {
	return func(r Reading, e emitter) {
		if r.Leases != nil {
			collect(r.Leases, e)
		}
	}
}

// past is for families of routers that keep a history.
func past(collect func(*history.Stats, emitter)) func(Reading, emitter) {
	return func(r Reading, e emitter) {
		if r.History != nil {
			collect(r.History, e)
		}
	}
}
