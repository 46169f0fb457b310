package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"
)

// How many ask for how few port sets.
const (
	workers       = 6
	subscribersOf = 3 // of each worker
)

// worker is some subscribers, which ask one at a time: what one subscriber is
// told is in order.
type worker struct {
	number int
	random *rand.Rand
	record *record
	asked  *atomic.Int64
	acked  *atomic.Int64
}

// b4 is one of two tunnel addresses that a subscriber has.
func (w *worker) b4(subscriber, address int) netip.Addr {
	a := [16]byte{0x20, 1, 0xd, 0xb8, 0, 1}
	a[6] = byte(w.number*subscribersOf + subscriber)
	binary.BigEndian.PutUint64(a[8:], uint64(1+address))
	return netip.AddrFrom16(a)
}

// work asks a child for random things until ctx ends or the child does.
func (w *worker) work(ctx context.Context, l *life) error {
	for ctx.Err() == nil {
		switch err := w.ask(ctx, l); {
		case errors.Is(err, errGone) || ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		time.Sleep(time.Duration(w.random.IntN(10)) * time.Millisecond)
	}
	return nil
}

// ask asks for one thing and records what is acknowledged.
func (w *worker) ask(ctx context.Context, l *life) error {
	b4 := w.b4(w.random.IntN(subscribersOf), 0)
	ask := Ask{
		B4:       b4,
		Lifetime: time.Duration(1000+w.random.IntN(3000)) * time.Millisecond,
		Patience: time.Duration(20+w.random.IntN(2000)) * time.Millisecond,
	}
	switch n := w.random.IntN(20); {
	case n < 9:
		ask.Action = Acquire
		if w.random.IntN(4) == 0 {
			// The tunnel moves to another address of the subscriber.
			next := b4.As16()
			next[15]++
			ask.B4 = netip.AddrFrom16(next)
		}
	case n < 14:
		ask.Action = Renew
	case n < 19:
		ask.Action = Release
	default:
		ask.Action = Remove
		c, ok := w.record.liveClaims()[subscriberOf(b4)]
		if !ok {
			return nil
		}
		ask.Key = toWire(c.key)
	}
	return w.send(ctx, l, ask)
}

func (w *worker) send(ctx context.Context, l *life, ask Ask) error {
	ends := ask.Action == Release || ask.Action == Remove
	if ends {
		w.record.asksEnd(subscriberOf(ask.B4))
	}
	w.asked.Add(1)
	var answer Answer
	if err := l.call(ctx, "Do", ask, &answer); err != nil {
		return err
	}
	switch {
	case answer.Problem != "":
		return nil
	case ends:
		w.record.endAcknowledged(subscriberOf(ask.B4))
	case ask.Action == Renew:
		// A renewal says nothing of the lwB4 address.
		key, err := answer.Key.key()
		if err != nil {
			return err
		}
		w.record.renewed(subscriberOf(ask.B4), key, answer.Expires)
	default:
		key, err := answer.Key.key()
		if err != nil {
			return err
		}
		w.record.acknowledged(ask.B4, key, answer.Expires)
	}
	w.acked.Add(1)
	return nil
}
