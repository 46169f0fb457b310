package disk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// childVariable names the environment variable with the path of the store that
// the test binary writes to instead of running tests.
const childVariable = "LW4O6_DISK_TEST_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// collection is where the child puts pairs of numbers, in two values.
const collection = "pairs"

// child commits pairs until it is killed, and says which are durable. It begins
// with the number that it reads.
func child(path string) error {
	if err := disk.Attach(); err != nil {
		return err
	}
	var first int
	if _, err := fmt.Scan(&first); err != nil {
		return err
	}
	s, err := bolt.Open(path)
	if err != nil {
		return err
	}
	fmt.Println("open")
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	for n := first; ; n++ {
		pair := store.Batch{
			Values: []store.Value{value("left", n), value("right", n)},
			Events: [][]byte{fmt.Append(nil, n)},
		}
		switch err := s.Commit(context.Background(), pair); {
		case err == nil:
			fmt.Println(n)
		case errors.Is(err, store.ErrStorage):
			fmt.Println("failed")
		default:
			return errors.Join(err, <-ended)
		}
	}
}

func value(side string, n int) store.Value {
	return store.Value{Collection: collection, Key: fmt.Sprint(side, n%50), Data: fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", n%700))}
}

// numbers is what the store at path has on one side.
func numbers(t *testing.T, s *bolt.Store, side string) map[int]bool {
	t.Helper()
	found := make(map[int]bool)
	for v, err := range s.Values(t.Context(), collection) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(v.Key, side) {
			number, _, _ := strings.Cut(string(v.Data), " ")
			i, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			found[i] = true
		}
	}
	return found
}

// trial runs children on one store, one after the other.
type trial struct {
	path  string
	disk  *disk.Disk
	acked []int // in order
	next  int   // that a child begins with
	// failed is how often commits failed.
	failed int
}

func newTrial(t *testing.T, seed uint64) *trial {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "store")
	s, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := disk.New(folder, seed, "store")
	if err != nil {
		t.Fatal(err)
	}
	return &trial{path: path, disk: d}
}

// live runs a child until it has said a number of things, and kills it.
func (x *trial) live(t *testing.T, faults disk.Faults, lines int) {
	t.Helper()
	x.disk.Inject(faults)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+x.path)
	var stderr strings.Builder
	cmd.Stdin, cmd.Stderr = strings.NewReader(fmt.Sprintln(x.next)), &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := x.disk.Start(cmd); errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("no system calls can be watched: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	opened := false
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		switch line := scanner.Text(); line {
		case "open":
			opened = true
		case "failed":
			x.failed++
		default:
			n, err := strconv.Atoi(line)
			if err != nil {
				t.Fatalf("child said %q", line)
			}
			x.acked = append(x.acked, n)
		}
		if lines--; lines <= 0 {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed, or says why not
	if err := x.disk.Wait(); err != nil {
		t.Fatal(err)
	}
	if opened {
		x.next += 100_000
		if stderr.Len() > 0 {
			t.Errorf("child: %s", stderr.String())
		}
		return
	}
	// It could not start because of a fault, or was killed.
	if s := stderr.String(); strings.Contains(s, store.ErrCorrupt.Error()) || strings.Contains(s, store.ErrTruncated.Error()) {
		t.Errorf("child: %s", s)
	}
}

func (x *trial) losePower(t *testing.T) {
	t.Helper()
	if err := x.disk.LosePower(); err != nil {
		t.Fatal(err)
	}
}

// lost says what of the acknowledged is not there.
func (x *trial) lost(t *testing.T) string {
	t.Helper()
	s, err := bolt.Open(x.path)
	if err != nil {
		return err.Error()
	}
	defer s.Close()
	left, right := numbers(t, s, "left"), numbers(t, s, "right")
	newest := make(map[int]int) // by place
	for _, n := range x.acked {
		newest[n%50] = n
	}
	for place, n := range newest {
		// One that was not acknowledged may have come after it.
		if !left[n] && !laterAt(left, place, n) {
			return fmt.Sprintf("pair %d of %d was acknowledged and is lost", n, len(x.acked))
		}
	}
	for n := range left {
		if !right[n] {
			return fmt.Sprintf("half of pair %d is there", n)
		}
	}
	return ""
}

func laterAt(found map[int]bool, place, n int) bool {
	for f := range found {
		if f%50 == place && f > n {
			return true
		}
	}
	return false
}

// mixed lets everything go wrong at once.
func mixed(t *testing.T, x *trial, r *rand.Rand) {
	t.Helper()
	x.live(t, disk.Faults{Fail: 5 + r.IntN(200), Short: 20 + r.IntN(200), Kill: 100 + r.IntN(1000)}, 2+r.IntN(100))
	if r.IntN(2) == 0 {
		x.losePower(t)
	}
}

// cached has one process rely on what another one could not sync.
func cached(t *testing.T, x *trial, _ *rand.Rand) {
	t.Helper()
	x.live(t, disk.Faults{Fail: 8, Kill: 12}, 30)
	x.live(t, disk.Faults{Kill: 9}, 10)
	x.losePower(t)
}

// run is one trial. It returns what was lost.
func run(t *testing.T, seed uint64, lie bool, cycle func(*testing.T, *trial, *rand.Rand)) (string, *trial) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	x := newTrial(t, seed)
	if lie {
		x.disk.Lie()
	}
	x.live(t, disk.Faults{}, 60)
	for range 4 {
		cycle(t, x, r)
		if lost := x.lost(t); lost != "" || t.Failed() {
			return lost, x
		}
	}
	return "", x
}

func TestNothingIsLost(t *testing.T) {
	for name, cycle := range map[string]func(*testing.T, *trial, *rand.Rand){"mixed": mixed, "cached": cached} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			var acked, failed, faults, losses int
			for range 4 {
				seed++
				lost, x := run(t, seed, false, cycle)
				if lost != "" {
					t.Errorf("seed %d: %s", seed, lost)
				}
				acked += len(x.acked)
				failed += x.failed
				faults += x.disk.Counts().Faults
				losses += x.disk.Counts().Losses
			}
			t.Logf("%d pairs acknowledged, %d failed, %d faults, %d losses of power", acked, failed, faults, losses)
			if acked == 0 || failed == 0 || faults == 0 || losses == 0 {
				t.Error("nothing went wrong, or nothing right")
			}
		})
	}
}

// A store whose fsyncs do nothing is caught.
func TestLyingDiskIsCaught(t *testing.T) {
	seed := rand.Uint64()
	for range 20 {
		seed++
		if lost, _ := run(t, seed, true, mixed); lost != "" {
			t.Logf("seed %d: %s", seed, lost)
			return
		}
	}
	t.Errorf("seeds up to %d: nothing was lost without fsync", seed)
}
