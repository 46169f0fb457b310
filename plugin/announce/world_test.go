package announce

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
)

func testPool(name, prefix, br string) pool.Pool {
	return pool.Pool{Name: name, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}, BR: netip.MustParseAddr(br)}
}

// world is a data plane and an operator, and remembers what really was. It knows
// nothing of the gate but what it puts out.
type world struct {
	rng    *rand.Rand
	config GateConfig
	now    time.Time
	facts  facts
	pools  pool.Pools
	gate   *gate

	out      []Announcement // what peers have
	told     bool           // a set was put out by the present gate
	stopped  bool           // the gate before was stopped, it did not crash
	lost     bool           // softwires were, and the gate does not know yet
	lastDown time.Time      // when packets were not forwarded last
	drained  map[string]bool
	overFrom map[string]time.Time
	// Per pool: whether it was ever out, how it left, and when it came back after
	// a loss.
	was      map[string]bool
	lossLeft map[string]bool
	returns  map[string][]time.Time
	admitted map[netip.Prefix]bool
	fault    string
}

func newWorld(rng *rand.Rand) *world {
	w := &world{
		rng: rng, config: DefaultConfig().GateConfig, now: time.Unix(1_700_000_000, 0),
		pools: pool.Pools{
			testPool("a", "192.0.2.0/25", "2001:db8:ffff::1"),
			testPool("b", "192.0.2.128/25", "2001:db8:ffff::1"),
			testPool("c", "198.51.100.0/24", "2001:db8:ffff::2"),
		},
		drained: map[string]bool{}, overFrom: map[string]time.Time{}, was: map[string]bool{},
		lossLeft: map[string]bool{}, returns: map[string][]time.Time{}, admitted: map[netip.Prefix]bool{},
	}
	w.facts = facts{incarnation: 1, settled: true, pools: map[string]count{}}
	for _, p := range w.pools {
		w.facts.pools[p.Name] = count{desired: 100}
	}
	w.start(memory{})
	return w
}

// start begins a new gate, as after a restart.
func (w *world) start(m memory) {
	w.gate = newGate(w.config, m, w.now)
	w.gate.configure(w.routes())
	w.told = false
}

func (w *world) routes() []Route {
	routes, err := DefaultConfig().Routes(w.pools)
	if err != nil {
		panic(err)
	}
	return routes
}

// event lets something happen, and returns what.
func (w *world) event() string {
	name := w.pools[w.rng.IntN(len(w.pools))].Name
	c := w.facts.pools[name]
	switch w.rng.IntN(20) {
	case 0:
		w.facts.forwarding, w.facts.reason = false, "it is dead"
		return "down"
	case 1:
		w.facts.forwarding = true
		return "up"
	case 2:
		w.facts.incarnation++
		w.lost = true
		w.forget()
		return "loses everything"
	case 3, 4:
		w.facts.read = true
		for name, c := range w.facts.pools {
			w.facts.pools[name] = count{c.desired, c.desired, c.lost}
		}
		return "programmed " + name
	case 5, 6:
		if w.facts.read && w.facts.incarnation != 0 {
			w.facts.verified = w.now
		}
		return "verified"
	case 7:
		w.facts.pools[name] = count{c.desired, c.desired - w.rng.IntN(c.desired+1), c.lost}
		return "some missing in " + name
	case 8:
		w.facts.pools[name] = count{100, 99, c.lost}
		w.facts.refused, w.facts.lag = w.rng.IntN(2), time.Duration(w.rng.IntN(100))*time.Second
		return "one refused in " + name
	case 9:
		if w.gate.together([]string{name}) == nil {
			w.gate.memory.Pools[name].Drain = w.now
			w.drained[name] = true
		}
		return "drain " + name
	case 10:
		w.gate.memory.Pools[name].forgive()
		w.drained[name] = false
		w.returns[name] = nil
		w.lossLeft[name] = false
		return "undrain " + name
	case 11:
		return w.restart()
	case 13, 14, 15, 16, 17, 18:
		w.facts.forwarding, w.facts.read, w.facts.verified = true, true, w.now
		for name, c := range w.facts.pools {
			w.facts.pools[name] = count{c.desired, c.desired, c.lost}
		}
		return "all is well"
	case 12:
		if len(w.pools) == 3 {
			w.pools = append(w.pools, testPool("d", "203.0.113.0/24", "2001:db8:ffff::2"))
			w.facts.pools["d"] = count{desired: 10}
		}
		w.gate.configure(w.routes())
		return "a pool is added"
	}
	w.facts.settled = w.rng.IntN(3) > 0
	return "settles or not"
}

// forget is that nobody knows what the data plane holds.
func (w *world) forget() {
	w.facts.read, w.facts.verified = false, time.Time{}
	for name, c := range w.facts.pools {
		w.facts.pools[name] = count{desired: c.desired, lost: w.rng.IntN(2) * w.rng.IntN(c.desired+1)}
	}
}

// restart is what the disk has of the old gate, in a new one. A router that was
// stopped knows.
func (w *world) restart() string {
	w.gate.memory.Stopped = w.rng.IntN(2) == 0
	data, err := json.Marshal(w.gate.memory)
	if err != nil {
		panic(err)
	}
	var m memory
	if err := json.Unmarshal(data, &m); err != nil {
		panic(err)
	}
	w.stopped = m.Stopped
	w.start(m)
	w.forget()
	if w.stopped {
		return "restart"
	}
	return "crash"
}

// pass lets time pass, with everything that the gate wants to look at meanwhile.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for w.fault == "" {
		w.step()
		again := w.gate.step(w.now, w.facts).again
		if again.IsZero() || !again.After(w.now) || again.After(end) {
			break
		}
		w.now = again
	}
	w.now = end
}

func (w *world) missing(name string) bool {
	c := w.facts.pools[name]
	return (c.desired-c.programmed)*100 > c.desired*w.config.MaxUnprogrammed
}

func (w *world) has(set []Announcement, p netip.Prefix) bool {
	return slices.ContainsFunc(set, func(a Announcement) bool { return a.Prefix == p })
}
