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
	if err := conn.SetReadDeadline(time.Now().Add(firstOrders)); err != nil {
		return err
	}
	var first, second feed.Order
	if err := errors.Join(feed.Read(conn, &first), feed.Read(conn, &second)); err != nil {
		return fmt.Errorf("the first orders: %w", err)
	}
	if first.Session == nil || second.Routes == nil {
		return errors.New("the first orders are not a session and its routes")
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	log := newJournal()
	router, err := startGoBGP(*first.Session, log)
	if err != nil {
		return err
	}
	s := &speaker{conn: conn, log: log, router: router, table: newTable(*first.Session, router)}
	if err := s.table.set(second.Routes.Routes); err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	if err := router.connect(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}); err != nil {
		return err
	}
	return s.loop(changed)
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
	if s.last.State == feed.Established && state.name != feed.Established && s.router.session.GracefulRestart > 0 {
		// GoBGP would say to the peer that packets were not forwarded meanwhile, and
		// the peer would forget the routes for a moment. A new speaker says that they
		// were.
		return errSessionLost
	}
	status := feed.Status{State: state.name}
	if state.name == feed.Established {
		if err := s.table.understands(state.extendedNextHop); err != nil {
			return err
		}
		status.ExtendedNextHop = state.extendedNextHop
		status.Announced, status.Withheld = s.table.announced(), s.table.withheld()
	}
	status.Error, status.ErrorTime = s.log.trouble()
	if same(status, s.last) {
		return nil
	}
	s.last = status
	return s.report(&feed.Report{Status: &status})
}

// report tells the router. One that does not listen for minutes, so that the
// socket is full, is gone.
func (s *speaker) report(r *feed.Report) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	return feed.Write(s.conn, r)
}
