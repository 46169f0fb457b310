package control

import (
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func softwireParameters() []string {
	return []string{"ipv4", "b4", "after", "limit", "counters", "problems"}
}

// query is what a request for softwires asks.
type query struct {
	ipv4, b4 netip.Addr    // zero selects all
	after    *softwire.Key // only those behind it in the stable order
	limit    int
	counters bool
	problems bool // only softwires that have one
}

// softwires answers PathSoftwires.
func (s *Server) softwires(r *http.Request, values url.Values) (any, error) {
	q, err := parseQuery(values)
	if err != nil {
		return nil, err
	}
	page, keys := q.page(s.router.Table.Snapshot(), s.router.Problems)
	if !q.counters {
		return page, nil
	}
	err = s.router.Counters.EachSoftwire(r.Context(), keys, func(i int, c dataplane.SoftwireCounters) {
		s := &page.Softwires[i]
		s.ToB4 = &api.Traffic{Packets: c.ToB4.Packets, Bytes: c.ToB4.Bytes}
		s.FromB4 = &api.Traffic{Packets: c.FromB4.Packets, Bytes: c.FromB4.Bytes}
		s.CountersOf = dataplane.PerSoftwire.String()
		if c.Key != keys[i] {
			s.CountersOf = dataplane.PerAddress.String()
		}
	})
	return page, err
}

func parseQuery(values url.Values) (query, error) {
	q := query{limit: api.DefaultLimit}
	for name, value := range values {
		var err error
		text := value[0]
		switch name {
		case "ipv4":
			q.ipv4, err = parseFamily(text, netip.Addr.Is4)
		case "b4":
			q.b4, err = parseFamily(text, netip.Addr.Is6)
		case "after":
			q.after, err = parseCursor(text)
		case "limit":
			q.limit, err = parseLimit(text)
		case "counters":
			q.counters, err = strconv.ParseBool(text)
		case "problems":
			q.problems, err = strconv.ParseBool(text)
		}
		if err != nil {
			return query{}, malformed(name, text)
		}
	}
	return q, nil
}

// page collects the softwires that q asks for, and their keys. It takes time in
// proportion to the page, to what the lwB4 has if one is asked for, or to the
// table if only those with problems are.
func (q query) page(t *softwire.Snapshot, problems Problems) (page api.SoftwirePage, keys []softwire.Key) {
	page.Softwires = []api.Softwire{}
	for s := range q.candidates(t) {
		if q.ipv4.IsValid() && q.ipv4.Less(s.IPv4) {
			break
		}
		key := s.Key()
		if q.ipv4.IsValid() && s.IPv4 != q.ipv4 || q.after != nil && key.Compare(*q.after) <= 0 {
			continue
		}
		problem := problems.Problem(key)
		if q.problems && problem == "" {
			continue
		}
		if len(keys) == q.limit {
			page.Next = cursor(keys[len(keys)-1])
			break
		}
		keys = append(keys, key)
		row := api.FromSoftwire(s)
		row.Problem = problem
		page.Softwires = append(page.Softwires, row)
	}
	return page, keys
}

// candidates yields, in order, all that q asks for and little before it.
func (q query) candidates(t *softwire.Snapshot) iter.Seq[softwire.Softwire] {
	if q.b4.IsValid() {
		return t.ByB4(q.b4)
	}
	from := softwire.Key{IPv4: q.ipv4}
	if q.after != nil && q.after.Compare(from) > 0 {
		from = *q.after
	}
	return t.From(from)
}

// cursor is the text of a key, such as 192.0.2.1/6/8/52.
func cursor(k softwire.Key) string { return fmt.Sprintf("%s/%s", k.IPv4, k.PortSet) }

func parseCursor(text string) (*softwire.Key, error) {
	ip, set, _ := strings.Cut(text, "/")
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, err
	}
	p, err := portset.ParsePortSet(set)
	if err != nil {
		return nil, err
	}
	return &softwire.Key{IPv4: a, PortSet: p}, nil
}
