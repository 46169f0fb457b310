package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// readRecords reads a block of records.
func readRecords(block string) (all []record, err error) {
	var in records
	in.begin(block)
	for {
		r, err := in.next()
		if r == nil || err != nil {
			return all, err
		}
		all = append(all, *r)
	}
}

// someRecords are records of a world, as runs of any age have them.
func someRecords(r *rand.Rand, n int) []record {
	w := newWorld(r)
	for range n {
		w.step()
	}
	var all []record
	for i, e := range w.events {
		one := recordOf(e)
		if i%3 == 0 && one.end.at == 0 {
			one.end = edge{one.start.at + stamp(r.IntN(1e9)), Expired, "by itself"}
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b record) int { return a.position().Compare(b.position()) })
	return all
}

func encodeRecords(all []record) (b []byte) {
	var prev record
	for _, r := range all {
		b = appendRecord(b, &r, &prev)
		prev = r
	}
	return b
}

func TestRecordCodec(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	want := someRecords(rand.New(rand.NewPCG(seed, 0)), 60)
	b := encodeRecords(want)
	got, err := readRecords(string(b))
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d of %d records, %v", len(got), len(want), err)
	}
	ends := 0
	for n := range b {
		got, err := readRecords(string(b[:n]))
		switch {
		case err == nil:
			ends++
		case !errors.Is(err, ErrCorrupt):
			t.Fatal(err)
		}
		if !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("the first %d bytes are of other records", n)
		}
	}
	if ends != len(want) {
		t.Errorf("%d parts are whole records, want %d", ends, len(want))
	}
}

func TestClaimCodec(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	all := someRecords(rand.New(rand.NewPCG(seed, 0)), 500)
	var records []*record
	for i := range all {
		records = append(records, &all[i])
	}
	want := sortedClaims(records)
	var b []byte
	var prev claim
	for _, c := range want {
		b = appendClaim(b, c, &prev)
		prev = *c
	}
	var in claimReader
	in.begin(string(b))
	for _, c := range want {
		got, err := in.next()
		if err != nil || *got != *c {
			t.Fatalf("got %+v, %v; want %+v", got, err, c)
		}
	}
	if got, err := in.next(); got != nil || err != nil {
		t.Errorf("behind the last one: %+v, %v", got, err)
	}
	if len(want) == 0 {
		t.Error("there were no claims")
	}
}

func TestManifestCodec(t *testing.T) {
	good := manifest{Version: manifestVersion, Next: 9, Runs: []uint64{3, 7}, Journal: 8, Sequence: 70, Time: 5, Since: 2}
	b, err := good.encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseManifest(b); err != nil || got.Journal != 8 || !slices.Equal(got.Runs, good.Runs) {
		t.Errorf("got %+v, %v", got, err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 4
		if _, err := parseManifest(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := parseManifest(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	for name, m := range map[string]manifest{
		"newer version":    {Version: manifestVersion + 1, Next: 1},
		"run of later":     {Version: manifestVersion, Next: 7, Runs: []uint64{7}},
		"journal of later": {Version: manifestVersion, Next: 7, Journal: 8},
		"time":             {Version: manifestVersion, Next: 1, Time: lastStamp},
		"since":            {Version: manifestVersion, Next: 1, Since: -1},
	} {
		b, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseManifest(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseCursor(t *testing.T) {
	for _, text := range []string{"x", "1-2", "1-2-0", "1-2-3-4", "01-2-3", "1-2-3 ", "1--2-3", "1-0-1", strings.Repeat("9", 100)} {
		if c, err := ParseCursor(text); !errors.Is(err, ErrCursor) {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("300000810000000-191bf4edcf5-1")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCursor(text); err == nil && c.String() != text {
			t.Fatalf("%q is %q", text, c)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	b, err := manifest{Version: manifestVersion, Next: 2, Runs: []uint64{1}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:bytes.IndexByte(b, '\n')])
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseManifest(fmt.Appendf(nil, "%s\n%08x\n", line, manifestSum(line)))
		if err != nil {
			return
		}
		for _, name := range m.files() {
			if !ours(name) {
				t.Fatalf("it names %s", name)
			}
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(string(encodeRecords(someRecords(rand.New(rand.NewPCG(1, 2)), 20))))
	f.Fuzz(func(t *testing.T, block string) {
		all, err := readRecords(block)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		var last blockfile.Position
		for _, r := range all {
			if r.position().Compare(last) < 0 {
				t.Fatal("out of order")
			}
			last = r.position()
			if r.end.at != 0 && r.end.at < r.start.at {
				t.Fatal("it ends before it starts")
			}
			r.claims(func(claim) {})
			_, _ = r.hold()
		}
		if again, err := readRecords(string(encodeRecords(all))); err != nil || !slices.Equal(again, all) {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

func FuzzClaims(f *testing.F) {
	f.Add(string(appendClaim(nil, &claim{prefix: 1, key: 2, last: 3}, &claim{})))
	f.Fuzz(func(t *testing.T, block string) {
		var in claimReader
		in.begin(block)
		var last blockfile.Position
		for {
			c, err := in.next()
			if c == nil || err != nil {
				return
			}
			if c.position().Compare(last) < 0 {
				t.Fatal("out of order")
			}
			last = c.position()
		}
	})
}

func FuzzParseEvents(f *testing.F) {
	body, err := allocated().AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(appendEvent(nil, 1, body)))
	f.Fuzz(func(t *testing.T, payload string) {
		err := parseEvents(payload, func(e Event) error { return e.Validate() })
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

// FuzzRun opens any bytes as a run, with the checksum of its tail put right, and
// asks it.
func FuzzRun(f *testing.F) {
	d := newFakeDisk()
	l, err := open(d, Config{}, nil, smallLimits())
	if err != nil {
		f.Fatal(err)
	}
	w := newWorld(rand.New(rand.NewPCG(1, 2)))
	for range smallLimits().events {
		w.step()
	}
	if err := l.Append(f.Context(), w.events); err != nil || len(l.runs) != 1 {
		f.Fatal(l.runs, err)
	}
	f.Add(d.files[l.runs[0].name].data)
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newFakeDisk()
		d.files[runName(1)] = &fakeFile{disk: d, data: mended(data)}
		r, err := openRun(d, 1)
		if err != nil {
			return
		}
		v := &View{runs: []*run{r}}
		for _, e := range w.events[:5] {
			_, _, _ = v.Who(t.Context(), e.Key.IPv4, 1024, e.Time)
		}
		for range v.Holds(t.Context(), Query{Subscriber: netip.MustParsePrefix("2001:db8::/32")}) {
		}
	})
}

// mended is data with the checksum of a run's tail put right, if it has one.
func mended(data []byte) []byte {
	const footer = 20
	n := len(data) - footer
	if n < 0 {
		return data
	}
	if offset := binary.LittleEndian.Uint64(data[n:]); offset <= uint64(n) {
		data = bytes.Clone(data)
		sum := crc32.Checksum(data[offset:n], crc32.MakeTable(crc32.Castagnoli))
		binary.LittleEndian.PutUint32(data[n+8:], sum)
	}
	return data
}
