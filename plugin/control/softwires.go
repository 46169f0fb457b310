package control

import (
	"context"
	"fmt"
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

func softwireParameters() []string { return []string{"ipv4", "b4", "after", "limit", "counters"} }

// query is what a request for softwires asks.
type query struct {
	ipv4, b4 netip.Addr    // zero selects all
	after    *softwire.Key // only those behind it in the stable order
	limit    int
	counters bool
}

// softwires answers PathSoftwires.
func (s *Server) softwires(r *http.Request, values url.Values) (any, error) {
	q, err := parseQuery(values)
	if err != nil {
		return nil, err
	}
	page, at, err := q.page(r.Context(), s.router.Table.Snapshot())
	if err != nil || !q.counters {
		return page, err
	}
	err = s.router.Counters.EachSoftwire(r.Context(), func(c dataplane.SoftwireCounters) bool {
		if i, ok := at[c.Key]; ok {
			page.Softwires[i].ToB4 = &api.Traffic{Packets: c.ToB4.Packets, Bytes: c.ToB4.Bytes}
			page.Softwires[i].FromB4 = &api.Traffic{Packets: c.FromB4.Packets, Bytes: c.FromB4.Bytes}
			delete(at, c.Key)
		}
		return len(at) > 0
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
			q.ipv4, err = netip.ParseAddr(text)
			if err == nil && !q.ipv4.Is4() {
				err = fmt.Errorf("not IPv4")
			}
		case "b4":
			q.b4, err = netip.ParseAddr(text)
			if err == nil && !q.b4.Is6() {
				err = fmt.Errorf("not IPv6")
			}
		case "after":
			q.after, err = parseCursor(text)
		case "limit":
			q.limit, err = strconv.Atoi(text)
			if err == nil && (q.limit < 1 || q.limit > api.MaxLimit) {
				err = fmt.Errorf("not in 1 to %d", api.MaxLimit)
			}
		case "counters":
			q.counters, err = strconv.ParseBool(text)
		}
		if err != nil {
			return query{}, bad("parameter %s=%.60q is malformed", name, text)
		}
	}
	return q, nil
}

// page collects the softwires that q asks for, and where each is in the page.
func (q query) page(ctx context.Context, t *softwire.Snapshot) (api.SoftwirePage, map[softwire.Key]int, error) {
	page := api.SoftwirePage{Softwires: []api.Softwire{}}
	at := make(map[softwire.Key]int)
	all := t.All()
	if q.b4.IsValid() {
		all = t.ByB4(q.b4)
	}
	n := 0
	var last softwire.Key
	for s := range all {
		// A million softwires before the page take a while.
		if n++; n%65536 == 0 && ctx.Err() != nil {
			return page, nil, ctx.Err()
		}
		if q.ipv4.IsValid() && s.IPv4 != q.ipv4 || q.b4.IsValid() && s.B4 != q.b4 ||
			q.after != nil && s.Key().Compare(*q.after) <= 0 {
			continue
		}
		if len(page.Softwires) == q.limit {
			page.Next = cursor(last)
			break
		}
		last = s.Key()
		at[last] = len(page.Softwires)
		page.Softwires = append(page.Softwires, api.FromSoftwire(s))
	}
	return page, at, nil
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
