package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lwaftr/lw4o6/plugin/histogram"
)

// readTimeout bounds the reading for one scrape: less than Prometheus waits.
const readTimeout = 5 * time.Second

// Collector is the prometheus.Collector of one router. Several may be in one
// registry if their routers have different names.
type Collector struct {
	read     func(context.Context) Reading
	families []described
}

type described struct {
	family
	desc *prometheus.Desc
}

// NewCollector returns a Collector that shows what read returns at each scrape,
// with the name of the router as the label "router".
func NewCollector(router string, read func(context.Context) Reading) *Collector {
	c := &Collector{read: read}
	for _, f := range families() {
		c.families = append(c.families, described{f, prometheus.NewDesc(
			f.name, f.help, f.labels, prometheus.Labels{"router": router},
		)})
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, f := range c.families {
		descs <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	r := c.read(ctx)
	for _, f := range c.families {
		if f.always || !r.Started.IsZero() {
			f.collect(r, emitter{f, metrics})
		}
	}
}

// emitter sends the metrics of one family.
type emitter struct {
	described
	metrics chan<- prometheus.Metric
}

func (e emitter) value(v float64, labels ...string) {
	e.metrics <- prometheus.MustNewConstMetric(e.desc, e.kind, v, labels...)
}

// time sends a moment, if there is one.
func (e emitter) time(t time.Time) {
	if !t.IsZero() {
		e.value(float64(t.UnixMilli()) / 1000)
	}
}

func (e emitter) flag(b bool, labels ...string) {
	v := 0.0
	if b {
		v = 1
	}
	e.value(v, labels...)
}

func (e emitter) histogram(h histogram.Reading, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Within))
	for i, bound := range histogram.Bounds() {
		buckets[bound.Seconds()] = h.Within[i]
	}
	e.metrics <- prometheus.MustNewConstHistogram(e.desc, h.Count, h.Sum.Seconds(), buckets, labels...)
}
