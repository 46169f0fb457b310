package speaker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// Times of a speaker.
const (
	firstOrders = 10 * time.Second // until the router has said what to do
	farewell    = time.Second      // for the NOTIFICATION to leave
	writeLimit  = 3 * time.Second  // for the router to take a report
)

// Why a speaker ends by itself. The router starts another one.
var (
	errPrefixLimit = errors.New("the peer sends more routes than prefix-limit: have it send none, or only what it has to")
	errSessionLost = errors.New("the session has ended, and the peer keeps its routes")
)

// serve speaks as the router orders until it closes conn, or the speaker has to
// start anew.
func serve(conn net.Conn) error {
	session, routes, err := opening(conn)
	if err != nil {
		return fmt.Errorf("the first orders: %w", err)
	}
	log := newJournal()
	router, err := startGoBGP(*session, log)
	if err != nil {
		return err
	}
	s := &speaker{conn: conn, log: log, router: router, table: newTable(*session, router)}
	if err := s.table.set(routes.Routes); err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	err = router.connect(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	return s.loop(changed)
}

// opening reads the first two orders, which are a session and its routes: GoBGP
// has the routes before the session comes up (RFC 4724 section 4.1).
func opening(conn net.Conn) (*feed.Session, *feed.Routes, error) {
	if err := conn.SetReadDeadline(time.Now().Add(firstOrders)); err != nil {
		return nil, nil, err
	}
	var orders [2]feed.Order
	for i := range orders {
		if err := feed.Read(conn, &orders[i]); err != nil {
			return nil, nil, err
		}
	}
	if orders[0].Session == nil || orders[1].Routes == nil {
		return nil, nil, errors.New("they are not a session and its routes")
	}
	return orders[0].Session, orders[1].Routes, conn.SetReadDeadline(time.Time{})
}

// speaker is one that has its first orders.
type speaker struct {
	conn   net.Conn
	log    *journal
	router *gobgp
	table  *table
	busy   busy
	last   feed.Status // that was reported
}

func (s *speaker) loop(changed <-chan struct{}) error {
	orders, ended := make(chan feed.Order), make(chan error, 1)
	go func() { ended <- s.read(orders) }()
	ticker := time.NewTicker(feed.Beat)
	defer ticker.Stop()
	for {
		var err error
		select {
		case err := <-ended:
			return s.leave(err)
		case o := <-orders:
			if err = s.table.set(o.Routes.Routes); err == nil {
				err = s.look()
			}
		case line := <-s.log.lines:
			err = s.report(&feed.Report{Log: &line})
		case <-changed:
			err = s.look()
		case <-ticker.C:
			err = s.tick()
		}
		if err != nil {
			return err
		}
	}
}

// tick is what there is to do every now and then.
func (s *speaker) tick() error {
	used, err := used()
	if err != nil {
		return err
	}
	if s.busy.look(time.Now(), used) {
		return errBusy
	}
	if err := s.look(); err != nil {
		return err
	}
	return s.report(&feed.Report{})
}

// read hands on orders until the router has gone, which is no error.
func (s *speaker) read(orders chan<- feed.Order) error {
	for {
		var o feed.Order
		if err := feed.Read(s.conn, &o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if o.Routes == nil {
			return errors.New("a second session is ordered")
		}
		orders <- o
	}
}

// leave ends the session as agreed on with the peer.
func (s *speaker) leave(err error) error {
	if s.router.session.GracefulRestart > 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	return errors.Join(err, s.router.stop(ctx))
}

// look asks GoBGP how the session is, does what follows, and reports what is
// new.
func (s *speaker) look() error {
	state, err := s.router.state()
	if err != nil {
		return err
	}
	if state.overLimit {
		return errPrefixLimit
	}
	status := feed.Status{State: state.name, Ended: state.ended}
	if state.name == feed.Established {
		if err := s.table.understands(state.extendedNextHop); err != nil {
			return err
		}
		status.ExtendedNextHop = state.extendedNextHop
		status.Announced, status.Withheld = s.table.announced(), s.table.withheld()
	}
	status.Error, status.ErrorTime = s.log.trouble()
	if !same(status, s.last) {
		s.last = status
		if err := s.report(&feed.Report{Status: &status}); err != nil {
			return err
		}
	}
	if state.ended > 0 && s.router.session.GracefulRestart > 0 {
		// GoBGP would say to the peer that packets were not forwarded meanwhile, and
		// the peer would forget the routes for a moment. A new speaker says that they
		// were.
		return errSessionLost
	}
	return nil
}

// report tells the router. One that does not listen for minutes, so that the
// socket is full, is gone.
func (s *speaker) report(r *feed.Report) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	return feed.Write(s.conn, r)
}
