package control

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

func whoParameters() []string { return []string{"ipv4", "port", "at"} }

func historyParameters() []string {
	return []string{"ipv4", "port", "subscriber", "b4", "pool", "from", "to", "after", "limit"}
}

// HoldOf is h as the API shows it.
func HoldOf(h history.Hold) api.Hold {
	p := h.Key.PortSet.Params()
	one := api.Hold{
		Subscriber: h.Subscriber, IPv4: h.Key.IPv4,
		PSIDOffset: p.Offset(), PSIDLen: p.Length(), PSID: h.Key.PortSet.PSID(),
		B4: h.B4, BR: h.BR, Pool: h.Pool, Mechanism: string(h.Mechanism), Attributes: h.Attributes.String(),
		Start: *edgeOf(h.Start),
	}
	for ports := range h.Key.PortSet.Ranges() {
		one.Ports = append(one.Ports, ports)
	}
	if !h.End.Time.IsZero() {
		one.End = edgeOf(h.End)
	}
	return one
}

// edgeOf is e; empty if it is not known.
func edgeOf(e history.Edge) *api.Edge {
	if e.Time.IsZero() {
		return &api.Edge{}
	}
	return &api.Edge{Time: &e.Time, Event: e.Kind.String(), Reason: e.Reason}
}

// HistoryQuery is f for a history itself.
func HistoryQuery(f api.HistoryFilter) history.Query {
	return history.Query{IPv4: f.IPv4, Port: f.Port, Subscriber: f.Subscriber, B4: f.B4, Pool: f.Pool, From: f.From, To: f.To}
}

// who answers PathWho.
func (s *Server) who(r *http.Request, values url.Values) (_ any, err error) {
	var q historyRequest
	if err := q.parse(values); err != nil {
		return nil, err
	}
	who := api.Who{IPv4: q.filter.IPv4.Addr(), At: q.at}
	if !q.filter.IPv4.IsSingleIP() || q.filter.Port == nil {
		return nil, bad("want ipv4=, an address, and port=")
	}
	who.Port = *q.filter.Port
	if who.At.IsZero() {
		who.At = time.Now()
	}
	v, err := s.router.History.View(r.Context())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	h, held, err := v.Who(r.Context(), who.IPv4, who.Port, who.At)
	if errors.Is(err, history.ErrBefore) {
		return nil, &api.Error{Status: http.StatusNotFound, Message: err.Error()}
	}
	if held {
		who.Hold = new(HoldOf(h))
	}
	return who, err
}

// maxRanges bounds the port ranges of a page, to keep it below api.MaxAnswer.
const maxRanges = 1 << 18

// history answers PathHistory.
func (s *Server) history(r *http.Request, values url.Values) (_ any, err error) {
	q := historyRequest{limit: api.DefaultLimit}
	if err := q.parse(values); err != nil {
		return nil, err
	}
	v, err := s.router.History.View(r.Context())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	page := api.HoldPage{Holds: []api.Hold{}}
	if since := v.Since(); !since.IsZero() {
		page.Since = &since
	}
	query := HistoryQuery(q.filter)
	query.After = q.after
	last, ranges := q.after, 0
	for h, err := range v.Holds(r.Context(), query) {
		if err != nil {
			return nil, err
		}
		if len(page.Holds) == q.limit || ranges > maxRanges {
			page.Next = last.String()
			break
		}
		last = last.Past(h)
		one := HoldOf(h)
		ranges += len(one.Ports)
		page.Holds = append(page.Holds, one)
	}
	return page, nil
}

// historyRequest is what a request for the history asks.
type historyRequest struct {
	filter api.HistoryFilter
	at     time.Time
	after  history.Cursor
	limit  int
}

// parse reads parameters. What is wrong with one is the client's error.
func (q *historyRequest) parse(values url.Values) error {
	for name, value := range values {
		if err := q.parameter(name, value[0]); err != nil {
			return bad("parameter %s=%.60q is malformed", name, value[0])
		}
	}
	return nil
}

func (q *historyRequest) parameter(name, text string) (err error) {
	f := &q.filter
	switch name {
	case "ipv4":
		f.IPv4, err = parsePrefix(text)
		if err == nil && !f.IPv4.Addr().Is4() {
			err = errFamily
		}
	case "port":
		var n uint64
		n, err = strconv.ParseUint(text, 10, 16)
		f.Port = new(uint16(n))
	case "subscriber":
		f.Subscriber, err = parsePrefix(text)
		if err == nil && !f.Subscriber.Addr().Is6() {
			err = errFamily
		}
	case "b4":
		f.B4, err = netip.ParseAddr(text)
		if err == nil && !f.B4.Is6() {
			err = errFamily
		}
	case "pool":
		f.Pool = text
	case "from":
		f.From, err = parseTime(text)
	case "to":
		f.To, err = parseTime(text)
	case "at":
		q.at, err = parseTime(text)
	case "after":
		q.after, err = history.ParseCursor(text)
	case "limit":
		q.limit, err = strconv.Atoi(text)
		if err == nil && (q.limit < 1 || q.limit > api.MaxLimit) {
			err = fmt.Errorf("not in 1 to %d", api.MaxLimit)
		}
	}
	return err
}

// parseTime reads a time of RFC 3339 that a history can have.
func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err == nil && (t.Year() < 1971 || t.Year() > 2400) {
		err = errors.New("not a time of this system")
	}
	return t, err
}

var errFamily = errors.New("of the other address family")

// parsePrefix reads a prefix, or an address as the prefix that holds it alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}
