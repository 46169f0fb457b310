package stats

import (
	"iter"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Ledger keeps what was counted for keys, such as IPv4 addresses, whose rows
// VPP zeroes, or that move from row to row: within one incarnation no key that
// stays ever goes back, and neither does the total. What VPP counted between
// the last reading and a zeroing is lost, and so is what the row had before if it
// has as much again by the next reading. The zero Ledger is empty. Its methods
// are for one goroutine.
type Ledger[K comparable] struct {
	incarnation, serial uint64
	accounts            map[K]*account
	closed              Row // what keys had that are gone
	total               Row
}

// account is what one key has.
type account struct {
	row    uint32
	rx, tx meter
	kept   bool
}

// Enter takes in rows of a reading. places are the keys and the rows in which
// they were counted when the reading was made; one that is no longer among them
// is forgotten, and starts at zero if it comes back. Readings are of one Reader;
// one that is older than another before it is passed over.
func (l *Ledger[K]) Enter(r *Reading, rows []Row, places iter.Seq2[K, uint32]) {
	l.follow(r)
	if r.serial <= l.serial {
		return
	}
	l.serial = r.serial
	l.total = Row{}
	for key, row := range places {
		a := l.account(key, row)
		if a.kept {
			continue // it has one place
		}
		a.kept = true
		a.enter(row, rows)
		add(&l.total, a.value())
	}
	for key, a := range l.accounts {
		if !a.kept {
			add(&l.closed, a.value())
			delete(l.accounts, key)
		}
		a.kept = false
	}
	add(&l.total, l.closed)
}

// Look takes in the row of one key, which is among the places of the next Enter,
// and returns what the key has. The total stays as it is until then.
func (l *Ledger[K]) Look(r *Reading, rows []Row, key K, row uint32) Row {
	l.follow(r)
	a := l.account(key, row)
	if r.serial > l.serial {
		a.enter(row, rows)
	}
	return a.value()
}

// follow starts anew if r is of another incarnation.
func (l *Ledger[K]) follow(r *Reading) {
	if l.accounts == nil || r.Incarnation != l.incarnation {
		*l = Ledger[K]{incarnation: r.Incarnation, accounts: make(map[K]*account)}
	}
}

func (l *Ledger[K]) account(key K, row uint32) *account {
	a := l.accounts[key]
	if a == nil {
		a = &account{row: row}
		l.accounts[key] = a
	}
	return a
}

func (a *account) enter(row uint32, rows []Row) {
	if row != a.row {
		a.row = row
		a.rx.restart()
		a.tx.restart()
	}
	if uint64(row) < uint64(len(rows)) {
		a.rx.see(rows[row].Rx)
		a.tx.see(rows[row].Tx)
	}
}

func (a *account) value() Row { return Row{Rx: a.rx.value(), Tx: a.tx.value()} }

// Of is what a key has; zero if the ledger does not have it.
func (l *Ledger[K]) Of(key K) Row {
	if a := l.accounts[key]; a != nil {
		return a.value()
	}
	return Row{}
}

// Total is what all keys have and had.
func (l *Ledger[K]) Total() Row { return l.total }

func add(sum *Row, r Row) {
	sum.Rx, sum.Tx = plus(sum.Rx, r.Rx), plus(sum.Tx, r.Tx)
}

func plus(a, b dataplane.Traffic) dataplane.Traffic {
	return dataplane.Traffic{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes}
}

// meter makes of a counter that starts again from zero one that never goes
// back.
type meter struct{ before, last dataplane.Traffic }

// see takes in what the counter shows and returns what it would show if it had
// never started again. Packets and octets are not read in one instant, so fewer
// octets alone are no new start.
func (m *meter) see(now dataplane.Traffic) dataplane.Traffic {
	if now.Packets < m.last.Packets {
		m.restart()
	}
	m.last = dataplane.Traffic{Packets: now.Packets, Bytes: max(now.Bytes, m.last.Bytes)}
	return m.value()
}

// restart says that the counter starts from zero.
func (m *meter) restart() { m.before, m.last = m.value(), dataplane.Traffic{} }

func (m *meter) value() dataplane.Traffic { return plus(m.before, m.last) }
