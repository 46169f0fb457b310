package control

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Limits of the server.
const (
	maxConnections = 32 // of each listener
	// maxStreams is how many connections of all may be streams, so that there are
	// others for operators.
	maxStreams    = 16
	maxHeader     = 8 << 10
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	// writeTimeout bounds the work on a request and the writing of its answer.
	writeTimeout = 2 * time.Minute
	idleTimeout  = time.Minute
	// stopTimeout is how long a request may go on after the server was told to
	// stop.
	stopTimeout = 2 * time.Second
)

// Server serves the control API.
type Server struct {
	router   Router
	requests *rate.Limiter
	log      logrus.FieldLogger
	// streams has a token for each connection that is a stream.
	streams chan struct{}
}

// New returns a Server that shows router and takes so many requests in a
// second.
func New(router Router, perSecond int, log logrus.FieldLogger) *Server {
	return &Server{
		router: router, requests: rate.NewLimiter(rate.Limit(perSecond), perSecond), log: log,
		streams: make(chan struct{}, maxStreams),
	}
}

// Run serves on all listeners until ctx ends, and then returns nil. It returns
// earlier if one of them fails. It closes them. It is called once.
func (s *Server) Run(ctx context.Context, all ...net.Listener) error {
	// Streams are not HTTP any more, which waits for its requests.
	defer func() {
		for range cap(s.streams) {
			s.streams <- struct{}{}
		}
	}()
	return Serve(ctx, s.Handler(), s.log, all...)
}

// Serve serves h on all listeners, as Run does, with the same limits.
func Serve(ctx context.Context, h http.Handler, to logrus.FieldLogger, all ...net.Listener) error {
	w := to.WithField("part", "http").WriterLevel(logrus.DebugLevel)
	defer w.Close()
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(w, "", 0),
		// Requests in progress learn that it is over.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	serving, ctx := errgroup.WithContext(ctx)
	for _, l := range all {
		serving.Go(func() error {
			err := server.Serve(netutil.LimitListener(l, maxConnections))
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("serving on %s: %w", l.Addr(), err)
		})
	}
	serving.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(stop) != nil {
			server.Close()
		}
		return nil
	})
	return serving.Wait()
}
