// Package metrics owns what Prometheus sees of a router: names, meanings, labels,
// and how they follow from the numbers of the other parts. A Collector reads them
// when it is scraped and keeps nothing.
//
// The number of time series is bounded by the configuration: labels are pools,
// devices and fixed words, and never a subscriber, an address or a softwire.
package metrics
