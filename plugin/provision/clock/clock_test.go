package clock

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// day is a time of day that can be set.
type day struct{ set time.Duration }

func (d *day) now() time.Time { return time.Now().Add(d.set) }

func start(t *testing.T, d *day, latest time.Time) *Clock {
	t.Helper()
	c, err := New(d.now, latest, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// expect compares the Clock with the time of day.
func expect(t *testing.T, c *Clock, d *day, after time.Duration) {
	t.Helper()
	if got := c.Now().Sub(d.now()); got != after {
		t.Errorf("the Clock is %s after the time of day, want %s", got, after)
	}
}

func TestFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &day{}
		c := start(t, d, time.Time{})
		time.Sleep(36 * time.Hour)
		expect(t, c, d, 0)
		d.set += 23 * time.Hour
		expect(t, c, d, 0)
		if f := c.Fault(); f != (Fault{}) || f.String() != "" {
			t.Errorf("fault %q", f)
		}
	})
}

func TestLeapBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &day{}
		c := start(t, d, time.Time{})
		c.Now()
		d.set -= time.Hour
		expect(t, c, d, time.Hour)
		time.Sleep(30 * time.Minute)
		expect(t, c, d, 45*time.Minute)
		if f := c.Fault(); f.Leap || f.Ahead != -45*time.Minute || !strings.Contains(f.String(), "45m0s behind") {
			t.Errorf("fault %+v: %s", f, f)
		}
		time.Sleep(4 * time.Hour) // more than it takes
		expect(t, c, d, 0)
		if f := c.Fault(); f != (Fault{}) {
			t.Errorf("fault %q", f)
		}
	})
}

func TestLeapAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &day{}
		c := start(t, d, time.Time{})
		d.set += 10 * 365 * 24 * time.Hour
		time.Sleep(time.Minute)
		expect(t, c, d, -d.set)
		if f := c.Fault(); !f.Leap || !strings.Contains(f.String(), "restart to accept it") {
			t.Errorf("fault %+v: %s", f, f)
		}
		d.set = 0
		expect(t, c, d, 0)
	})
}

func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		latest := time.Now()
		if _, err := New((&day{366 * 24 * time.Hour}).now, latest, DefaultLimits()); !errors.Is(err, ErrAhead) {
			t.Errorf("a year and a day later: %v", err)
		}
		d := &day{364 * 24 * time.Hour}
		expect(t, start(t, d, latest), d, 0)

		// A machine without a battery wakes in the past, and learns the time later.
		d = &day{-20 * 365 * 24 * time.Hour}
		c := start(t, d, latest)
		if got := c.Now(); !got.Equal(latest) {
			t.Errorf("starts at %s, want the latest time %s", got, latest)
		}
		d.set = 30 * 24 * time.Hour
		expect(t, c, d, 0)
		d.set += 30 * 24 * time.Hour
		expect(t, c, d, -30*24*time.Hour)
	})
}

// TestNeverBack: whatever the time of day does, the Clock does not go back, and
// goes faster than time passes only by a leap that is allowed.
func TestNeverBack(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		d := &day{}
		c := start(t, d, time.Time{})
		last, slowed := c.Now(), 0
		for range 5000 {
			slept := time.Duration(r.Int64N(int64(time.Minute)))
			time.Sleep(slept)
			if r.IntN(10) == 0 {
				d.set += time.Duration(r.NormFloat64() * float64(20*time.Hour))
			}
			now := c.Now()
			step := now.Sub(last)
			if step < slept/2 || step > slept+DefaultLimits().Running {
				t.Fatalf("a step of %s in %s; fault %v", step, slept, c.Fault())
			}
			if step < slept {
				slowed++
			}
			last = now
		}
		if slowed == 0 {
			t.Error("it was never slowed down")
		}
	})
}
