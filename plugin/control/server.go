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
)

// Limits of the server.
const (
	maxConnections = 32
	maxHeader      = 8 << 10
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	// writeTimeout bounds the work on a request and the writing of its answer.
	writeTimeout = 2 * time.Minute
	idleTimeout  = time.Minute
	// stopTimeout is how long a request may go on after the server was told to
	// stop.
	stopTimeout = 2 * time.Second
)

// Server serves the control API.
type Server struct {
	router Router
	log    logrus.FieldLogger
}

// New returns a Server that shows router.
func New(router Router, log logrus.FieldLogger) *Server {
	return &Server{router: router, log: log}
}

// Run serves on l until ctx ends, and then returns nil. It closes l.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	errorLog := s.log.WithField("part", "control")
	w := errorLog.WriterLevel(logrus.DebugLevel)
	defer w.Close()
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(w, "", 0),
		// Requests in progress learn that it is over.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(netutil.LimitListener(l, maxConnections)) }()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("control socket: %w", err)
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(stop) != nil {
			server.Close()
		}
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = fmt.Errorf("control socket: %w", e)
		}
	}
	return err
}
