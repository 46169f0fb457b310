package stats

import (
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Reading is what VPP had counted when it was read.
type Reading struct {
	// Incarnation is the same in all readings of one VPP process, and differs
	// from that of any other since the machine started.
	Incarnation uint64
	// Started is when VPP began to keep statistics; zero in its first moments.
	Started time.Time
	// Heartbeat goes up by one each time VPP updates what it does not count as
	// it happens: every ten seconds, unless "statseg { update-interval }" says
	// otherwise. Of Threads and Memory it tells how fresh they are.
	Heartbeat uint64

	// Domains are the MAP domains, by index. Rx is what came out of softwires
	// and Tx what went into them, both without the tunnel header. Packets that
	// VPP cut into fragments are not in Tx. A row starts at zero when VPP makes
	// a domain of its index, and keeps its last value when the domain goes.
	Domains []Row
	// Interfaces are those of VPP, by index, with link-layer headers where
	// there are any.
	Interfaces []Row
	// Events are drops and what else happened to packets, in all of VPP.
	Events []dataplane.Event

	// Threads are VPP's threads. The first is the main one, and the only one
	// where there are no workers.
	Threads []Thread
	// Heap is where VPP has domains and rules, and Statistics where it counts.
	Heap, Statistics Memory

	serial uint64 // of the Reader
}

// Row is what VPP counts in two directions.
type Row struct{ Rx, Tx dataplane.Traffic }

// Thread is how busy one of VPP's threads is.
type Thread struct {
	VectorRate     uint64 // packets that it took at a time, up to 256
	LoopsPerSecond uint64
}

// Memory is in octets.
type Memory struct{ Total, Used uint64 }

// tunnelHeader is what VPP counts with a packet that goes into a softwire, in
// octets.
const tunnelHeader = 40

// The names of what is read besides events.
const (
	nameHeartbeat = "/sys/heartbeat"
	nameBoot      = "/sys/boottime"
	nameVectors   = "/sys/vector_rate_per_worker"
	nameLoops     = "/sys/loops_per_worker"
	nameWorkers   = "/sys/num_worker_threads"
	nameMapRx     = "/map/rx"
	nameMapTx     = "/map/tx"
	nameIfRx      = "/if/rx"
	nameIfTx      = "/if/tx"
	nameHeap      = "/mem/main heap"
	nameSegment   = "/mem/stat segment"
)

// The counters of which events that are not errors are the sum.
const (
	nameMiss     = "/if/rx-miss"
	nameNoBuffer = "/if/rx-no-buf"
)

// wanted are the names of all that is read.
func wanted(events []event) map[string]bool {
	names := make(map[string]bool)
	for _, name := range []string{
		nameHeartbeat, nameBoot, nameVectors, nameLoops, nameWorkers, nameMapRx, nameMapTx, nameIfRx, nameIfTx,
		nameHeap, nameSegment, nameMiss, nameNoBuffer,
	} {
		names[name] = true
	}
	for _, e := range events {
		for _, name := range e.errors {
			names[errorPrefix+name] = true
		}
	}
	return names
}

// parser reads out of a directory. The first error ends it: later calls return
// nothing.
type parser struct {
	directory *directory
	err       error
}

func (p *parser) scalar(name string) uint64 { return read(p, name, p.directory.scalar) }

func (p *parser) counter(name string) uint64 { return read(p, name, p.directory.counter) }

func (p *parser) simple(name string) []uint64 { return read(p, name, p.directory.simple) }

func (p *parser) combined(name string) []uint64 { return read(p, name, p.directory.combined) }

func read[T any](p *parser, name string, from func(string) (T, error)) (value T) {
	if p.err == nil {
		value, p.err = from(name)
	}
	return value
}

// parse reads everything.
func parse(d *directory, events []event) (*Reading, error) {
	p := &parser{directory: d}
	r := &Reading{
		Heartbeat:  p.scalar(nameHeartbeat),
		Domains:    rows(p.combined(nameMapRx), p.combined(nameMapTx)),
		Interfaces: rows(p.combined(nameIfRx), p.combined(nameIfTx)),
		Threads:    p.threads(),
		Heap:       p.memory(nameHeap),
		Statistics: p.memory(nameSegment),
	}
	if boot := p.scalar(nameBoot); boot != 0 {
		r.Started = time.Unix(int64(boot), 0)
	}
	for i := range r.Domains {
		tx := &r.Domains[i].Tx
		tx.Bytes -= min(tx.Bytes, tunnelHeader*tx.Packets)
	}
	for _, e := range events {
		r.Events = append(r.Events, e.counted(p.sum(e)))
	}
	if p.err != nil {
		return nil, fmt.Errorf("VPP's counters: %w", p.err)
	}
	return r, nil
}

func (p *parser) sum(e event) (packets uint64) {
	for _, name := range e.errors {
		packets += p.counter(errorPrefix + name)
	}
	for _, name := range e.interfaces {
		for _, n := range p.simple(name) {
			packets += n
		}
	}
	return packets
}

func (p *parser) threads() []Thread {
	vectors, loops := p.simple(nameVectors), p.simple(nameLoops)
	// VPP has room for one more than there are.
	count := min(p.scalar(nameWorkers)+1, uint64(len(vectors)), uint64(len(loops)))
	all := make([]Thread, count)
	for i := range all {
		all[i] = Thread{VectorRate: vectors[i], LoopsPerSecond: loops[i]}
	}
	return all
}

func (p *parser) memory(name string) Memory {
	const total, used = 0, 1
	figures := p.simple(name)
	if len(figures) <= used {
		return Memory{}
	}
	return Memory{Total: figures[total], Used: figures[used]}
}

// rows puts packets and octets of two directions together.
func rows(rx, tx []uint64) []Row {
	all := make([]Row, max(len(rx), len(tx))/2)
	for i := range all {
		all[i] = Row{Rx: traffic(rx, i), Tx: traffic(tx, i)}
	}
	return all
}

func traffic(pairs []uint64, i int) dataplane.Traffic {
	if 2*i+1 >= len(pairs) {
		return dataplane.Traffic{}
	}
	return dataplane.Traffic{Packets: pairs[2*i], Bytes: pairs[2*i+1]}
}
