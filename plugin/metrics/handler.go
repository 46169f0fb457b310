package metrics

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of a Handler.
const (
	maxScrapes    = 4 // at the same time
	scrapeTimeout = 2 * readTimeout
)

// Handler answers scrapes with what c and the Go runtime say, and with what the
// kernel says of the process.
func Handler(c *Collector) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	err := errors.Join(
		registry.Register(c),
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, err
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout}), nil
}
