package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestCalls(t *testing.T) {
	f := newFake(t, 25)
	c, _ := serve(t, f)
	ctx := t.Context()

	status, err := c.Status(ctx)
	if err != nil || status.Name != "test" || !status.Ready || status.Softwires.Desired != 25 {
		t.Errorf("Status: %+v, %v", status, err)
	}
	counters, err := c.Counters(ctx)
	if err != nil || counters.Encapsulated != (api.Traffic{Packets: 3, Bytes: 300}) {
		t.Errorf("Counters: %+v, %v", counters, err)
	}
	pools, err := c.Pools(ctx)
	if err != nil || len(pools) != 1 || pools[0].Name != "a" {
		t.Errorf("Pools: %+v, %v", pools, err)
	}
	var scrape, goroutines strings.Builder
	if err := c.Metrics(ctx, &scrape); err != nil || scrape.String() != "up 1\n" {
		t.Errorf("Metrics: %q, %v", &scrape, err)
	}
	if err := c.Goroutines(ctx, &goroutines); err != nil || !strings.Contains(goroutines.String(), "TestCalls") {
		t.Errorf("Goroutines: %q, %v", &goroutines, err)
	}
	if err := c.SetLogLevel(ctx, "debug"); err != nil {
		t.Errorf("SetLogLevel: %v", err)
	}
	var refused *api.Error
	if err := c.SetLogLevel(ctx, "loud"); !errors.As(err, &refused) || refused.Status != http.StatusUnprocessableEntity {
		t.Errorf("SetLogLevel to nothing: %v", err)
	}
	packet := bytes.Repeat([]byte{7}, api.MaxPacket)
	trace, err := c.Trace(ctx, api.TraceRequest{Side: "ipv6", Packet: packet})
	if err != nil || len(trace.Steps) != 1 || len(trace.Sent) != 1 {
		t.Errorf("Trace: %+v, %v", trace, err)
	}
	if f.side != dataplane.SideIPv6 || !bytes.Equal(f.traced, packet) {
		t.Errorf("traced %d bytes from side %s", len(f.traced), f.side)
	}
	reload, err := c.Reload(ctx)
	if err != nil || reload.Put != 1 {
		t.Errorf("Reload: %+v, %v", reload, err)
	}
}

func collect(t *testing.T, c *api.Client, f api.SoftwireFilter) []api.Softwire {
	t.Helper()
	var all []api.Softwire
	for s, err := range c.Softwires(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// TestSoftwiresWithProblems: those that the data plane has not taken say why,
// and can be asked for alone, page by page.
func TestSoftwiresWithProblems(t *testing.T) {
	f := newFake(t, 25)
	f.problems = make(map[softwire.Key]string)
	var want []api.Softwire
	for s := range f.table.Snapshot().All() {
		if s.PortSet.PSID() == 7 {
			f.problems[s.Key()] = "no room on " + s.IPv4.String()
			row := api.FromSoftwire(s)
			row.Problem = f.problems[s.Key()]
			want = append(want, row)
		}
	}
	c, _ := serve(t, f)
	opt := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, collect(t, c, api.SoftwireFilter{Problems: true}), opt); diff != "" || len(want) != 2 {
		t.Errorf("%d have a problem; -want +got:\n%s", len(want), diff)
	}
	page, keys := query{limit: 1, problems: true}.page(f.table.Snapshot(), f)
	if len(keys) != 1 || page.Next == "" {
		t.Errorf("a page of one: %+v", page)
	}
	if all := collect(t, c, api.SoftwireFilter{IPv4: want[0].IPv4}); len(all) != 10 || all[7].Problem != want[0].Problem || all[6].Problem != "" {
		t.Errorf("among others: %+v", all)
	}
}

func TestSoftwires(t *testing.T) {
	f := newFake(t, 25)
	c, _ := serve(t, f)
	var want []api.Softwire
	for s := range f.table.Snapshot().All() {
		want = append(want, api.FromSoftwire(s))
		if back, err := api.FromSoftwire(s).Softwire(); err != nil || back != s {
			t.Errorf("%s comes back as %s, %v", s, back, err)
		}
	}
	opt := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, collect(t, c, api.SoftwireFilter{}), opt); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := collect(t, c, api.SoftwireFilter{IPv4: netip.MustParseAddr("192.0.2.1")}); len(got) != 10 || got[9].PSID != 9 {
		t.Errorf("by IPv4: %+v", got)
	}
	if got := collect(t, c, api.SoftwireFilter{B4: netip.MustParseAddr("2001:db8::1")}); len(got) != 9 || got[1].PSID != 3 {
		t.Errorf("by lwB4: %+v", got)
	}
	if got := collect(t, c, api.SoftwireFilter{IPv4: netip.MustParseAddr("192.0.2.1"), B4: netip.MustParseAddr("2001:db8::1")}); len(got) != 3 {
		t.Errorf("by both: %+v", got)
	}
	if got := collect(t, c, api.SoftwireFilter{IPv4: netip.MustParseAddr("192.0.2.9")}); len(got) != 0 {
		t.Errorf("by an address without softwires: %+v", got)
	}
	for _, s := range collect(t, c, api.SoftwireFilter{Counters: true}) {
		if s.ToB4 == nil || s.ToB4.Packets != uint64(s.PSID) || s.FromB4.Bytes != uint64(s.PSID) {
			t.Errorf("counters of %+v", s)
		}
	}
	for range c.Softwires(t.Context(), api.SoftwireFilter{}) {
		break // ending early is no error
	}
}

// plain is an HTTP client without our package around it, to send what it would
// not.
func plain(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
}

// request makes a request and decodes its answer, whatever its status.
func request[T any](t *testing.T, socket, method, path, body string) (status int, answer T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://router"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := plain(socket).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Errorf("the answer %q is not JSON: %v", data, err)
	}
	return res.StatusCode, answer
}

func TestPages(t *testing.T) {
	_, socket := serve(t, newFake(t, 25))
	var sizes []int
	for after := ""; len(sizes) < 10; {
		_, page := request[api.SoftwirePage](t, socket, "GET", "/v1/softwires?limit=10"+after, "")
		sizes = append(sizes, len(page.Softwires))
		if page.Next == "" {
			break
		}
		after = "&after=" + page.Next
	}
	if diff := cmp.Diff([]int{10, 10, 5}, sizes); diff != "" {
		t.Errorf("sizes of pages: -want +got:\n%s", diff)
	}
	if _, page := request[api.SoftwirePage](t, socket, "GET", "/v1/softwires?limit=25", ""); page.Next != "" {
		t.Errorf("a page that holds everything has a next one: %q", page.Next)
	}
}

// TestPagesTogetherAreTheTable: whatever is asked for, the pages of any size
// are what a walk over the whole table finds, and counters are read for what is
// on a page only.
func TestPagesTogetherAreTheTable(t *testing.T) {
	f := newFake(t, 25)
	_, socket := serve(t, f)
	var ips, b4s []string
	for s := range f.table.Snapshot().All() {
		ips, b4s = append(ips, s.IPv4.String()), append(b4s, s.B4.String())
	}
	ips = append(slices.Compact(ips), "", "192.0.1.255", "192.0.2.3", "0.0.0.0", "255.255.255.255")
	slices.Sort(b4s)
	b4s = append(slices.Compact(b4s), "", "2001:db8::2")
	pages := 0
	for _, ip := range ips {
		for _, b4 := range b4s {
			var want []api.Softwire
			for s := range f.table.Snapshot().All() {
				if (ip == "" || s.IPv4.String() == ip) && (b4 == "" || s.B4.String() == b4) {
					n := api.Traffic{Packets: uint64(s.PortSet.PSID())}
					one := api.FromSoftwire(s)
					one.ToB4, one.FromB4, one.CountersOf = &n, &api.Traffic{Bytes: n.Packets}, "softwire"
					want = append(want, one)
				}
			}
			for _, limit := range []int{1, 3, 10, 30} {
				values := url.Values{"limit": {strconv.Itoa(limit)}, "counters": {"true"}}
				if ip != "" {
					values.Set("ipv4", ip)
				}
				if b4 != "" {
					values.Set("b4", b4)
				}
				f.counted = nil
				var got []api.Softwire
				for range len(want)/limit + 1 {
					_, page := request[api.SoftwirePage](t, socket, "GET", "/v1/softwires?"+values.Encode(), "")
					got = append(got, page.Softwires...)
					if n := f.counted[len(f.counted)-1]; n != len(page.Softwires) {
						t.Fatalf("counters of %d softwires were read for a page of %d", n, len(page.Softwires))
					}
					pages++
					if page.Next == "" {
						break
					}
					values.Set("after", page.Next)
				}
				if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Fatalf("ipv4 %q, lwB4 %q, limit %d: -want +got:\n%s", ip, b4, limit, diff)
				}
			}
		}
	}
	if pages < 500 {
		t.Errorf("only %d pages were looked at", pages)
	}
}

// TestPageBeginsWhereItIsAsked: a page does not look at what is before it.
func TestPageBeginsWhereItIsAsked(t *testing.T) {
	table := newFake(t, 25).table.Snapshot()
	for s := range table.All() {
		key := s.Key()
		for _, q := range []query{{after: &key}, {ipv4: key.IPv4, after: &key}} {
			for first := range q.candidates(table) {
				if first != s {
					t.Fatalf("after %s the first candidate is %s", key, first)
				}
				break
			}
		}
		for first := range (query{ipv4: key.IPv4}).candidates(table) {
			if first.IPv4 != key.IPv4 || first.PortSet.PSID() != 0 {
				t.Fatalf("for %s the first candidate is %s", key.IPv4, first)
			}
			break
		}
	}
}

func TestBadRequests(t *testing.T) {
	_, socket := serve(t, newFake(t, 1))
	tests := []struct {
		name, method, path, body string
		status                   int
		message                  string
	}{
		{"unknown path", "GET", "/v1/nothing", "", 404, `there is no "/v1/nothing"`},
		{"other version", "GET", "/v2/status", "", 404, `there is no "/v2/status"`},
		{"wrong method", "POST", "/v1/status", "", 405, "/v1/status takes GET"},
		{"reload by GET", "GET", "/v1/reload", "", 405, "/v1/reload takes POST"},
		{"unknown parameter", "GET", "/v1/status?x=1", "", 400, `parameter "x" is unknown or given twice`},
		{"parameter twice", "GET", "/v1/softwires?limit=1&limit=2", "", 400, `parameter "limit" is unknown or given twice`},
		{"malformed query", "GET", "/v1/softwires?limit=%zz", "", 400, "the query is malformed"},
		{"limit too large", "GET", "/v1/softwires?limit=10001", "", 400, `parameter limit="10001" is malformed`},
		{"limit zero", "GET", "/v1/softwires?limit=0", "", 400, `parameter limit="0" is malformed`},
		{"IPv6 for IPv4", "GET", "/v1/softwires?ipv4=2001:db8::1", "", 400, `parameter ipv4="2001:db8::1" is malformed`},
		{"IPv4 for lwB4", "GET", "/v1/softwires?b4=192.0.2.1", "", 400, `parameter b4="192.0.2.1" is malformed`},
		{"bad cursor", "GET", "/v1/softwires?after=192.0.2.1", "", 400, `parameter after="192.0.2.1" is malformed`},
		{"bad flag", "GET", "/v1/softwires?counters=maybe", "", 400, `parameter counters="maybe" is malformed`},
		{"trace of nothing", "POST", "/v1/trace", "", 400, "the request is not understood: EOF"},
		{"trace with an unknown key", "POST", "/v1/trace", `{"x":1}`, 400, `the request is not understood: json: unknown field "x"`},
		{"trace from no side", "POST", "/v1/trace", `{"side":"left","packet":""}`, 400, `side "left" is neither ipv4 nor ipv6`},
		{"trace too long", "POST", "/v1/trace", `{"side":"ipv4","packet":"` + strings.Repeat("AAAA", api.MaxPacket/3+1) + `"}`, 400, "the packet has 65577 bytes; the largest has 65575"},
		{"request too large", "POST", "/v1/trace", `{"side":"` + strings.Repeat("x", api.MaxRequest) + `"}`, 413, "the request is larger than 262144 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, e := request[api.Error](t, socket, tt.method, tt.path, tt.body)
			if status != tt.status || e.Message != tt.message {
				t.Errorf("got %d %q, want %d %q", status, e.Message, tt.status, tt.message)
			}
		})
	}
}

func TestRouterErrors(t *testing.T) {
	f := newFake(t, 1)
	c, _ := serve(t, f)
	for _, tt := range []struct {
		name   string
		err    error
		status int
	}{
		{"own fault", errors.New("it broke"), 500},
		{"not supported", ErrUnsupported, 501},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.err = tt.err
			_, err := c.Trace(t.Context(), api.TraceRequest{Side: "ipv4"})
			var e *api.Error
			if !errors.As(err, &e) || e.Status != tt.status || e.Message != tt.err.Error() {
				t.Errorf("got %#v", err)
			}
			if _, err := c.Status(t.Context()); !errors.As(err, &e) {
				t.Errorf("Status: %v", err)
			}
			for _, err := range c.Softwires(t.Context(), api.SoftwireFilter{Counters: true}) {
				if !errors.As(err, &e) {
					t.Errorf("Softwires: %v", err)
				}
			}
		})
	}
	f.err = errors.Join(errors.New("line one"), errors.New("line two"))
	_, err := c.Reload(t.Context())
	var e *api.Error
	if !errors.As(err, &e) || e.Status != 422 || len(e.Details) != 2 || e.Details[1] != "line two" {
		t.Errorf("Reload: %#v", err)
	}
}

func TestClientWithoutRouter(t *testing.T) {
	c := api.NewClient(t.TempDir() + "/none.sock")
	_, err := c.Status(t.Context())
	if !errors.Is(err, api.ErrNoRouter) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	good, _ := serve(t, newFake(t, 1))
	if _, err := good.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// TestStopEndsConnections: idle and half-open connections do not keep Run from
// returning, which serve's cleanup checks together with goleak.
func TestStopEndsConnections(t *testing.T) {
	_, socket := serve(t, newFake(t, 1))
	for range maxConnections + 5 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET /v1/st")); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzHandler(f *testing.F) {
	f.Add("GET", "/v1/softwires", "limit=1&after=192.0.2.1/6/8/1&counters=true", []byte(nil))
	f.Add("GET", "/v1/softwires", "ipv4=192.0.2.1&b4=2001:db8::1", []byte(nil))
	f.Add("POST", "/v1/trace", "", []byte(`{"side":"ipv4","packet":"RQAA"}`))
	f.Add("POST", "/v1/reload", "", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		req, err := http.NewRequest(method, "http://router/", bytes.NewReader(body))
		if err != nil {
			return
		}
		req.URL.Path, req.URL.RawQuery = path, query
		w := recorder{header: http.Header{}}
		New(newFake(t, 3).router(), 1000, quiet()).Handler().ServeHTTP(&w, req)
		// The mux redirects paths that are not clean, and then does not answer
		// in JSON.
		if w.status >= 500 || w.status != 301 && w.status != 307 && w.status != 308 && !json.Valid(w.body.Bytes()) {
			t.Errorf("%s %q?%q: %d %q", method, path, query, w.status, &w.body)
		}
	})
}
