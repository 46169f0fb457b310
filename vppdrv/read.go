package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"go.fd.io/govpp/api"
	maps "go.fd.io/govpp/binapi/map"

	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/script"
)

// readDomains returns our MAP domains, without their rules.
func readDomains(ctx context.Context, conn api.Connection, l plan.Layout) ([]plan.Domain, error) {
	var all []plan.Domain
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// VPP answers for as long as it may keep others waiting, and says where to
	// go on.
	for cursor := uint32(0); ; {
		list, err := maps.NewServiceClient(conn).MapDomainsGet(ctx, &maps.MapDomainsGet{Cursor: cursor})
		if err != nil {
			return nil, fmt.Errorf("reading MAP domains: %w", err)
		}
		for {
			d, end, err := list.Recv()
			if d != nil {
				if domain := domainOf(d); l.Ours(domain.Tag) {
					all = append(all, domain)
				}
				continue
			}
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			if errors.Is(err, api.EAGAIN) && end != nil {
				cursor = end.Cursor
				break
			}
			return nil, fmt.Errorf("reading MAP domains: %w", err)
		}
	}
}

func domainOf(d *maps.MapDomainDetails) plan.Domain {
	tag, _, _ := strings.Cut(d.Tag, "\x00")
	return plan.Domain{
		Index: d.DomainIndex, Tag: tag,
		IPv4:   netip.PrefixFrom(netip.AddrFrom4(d.IP4Prefix.Address), int(d.IP4Prefix.Len)),
		BR:     netip.AddrFrom16(d.IP6Src.Address),
		Offset: d.PsidOffset, Length: d.PsidLength,
	}
}

// readRules calls each with every domain of all, completed with its rules,
// until it returns false. It passes over domains that are gone, or others by
// now. The rules come from the command line: VPP's map_rule_dump takes several
// times as long, and never ends for a psid-len of 16.
func readRules(ctx context.Context, conn api.Connection, all []plan.Domain, each func(plan.Domain) bool) error {
	queue, err := script.Open(ctx, conn)
	if err != nil {
		return err
	}
	defer queue.Close()
	asked := 0
	for _, d := range all {
		for ; asked < len(all) && !queue.Full(); asked++ {
			if err := queue.Send("show map domain index " + strconv.FormatUint(uint64(all[asked].Index), 10)); err != nil {
				return fmt.Errorf("reading MAP rules: %w", err)
			}
		}
		shown, err := queue.Receive()
		if errors.Is(err, script.ErrRefused) {
			continue
		}
		same := false
		if err == nil {
			same, err = complete(&d, shown)
		}
		if err != nil {
			return fmt.Errorf("reading MAP rules of domain %d: %w", d.Index, err)
		}
		if same && !each(d) {
			return nil
		}
	}
	return nil
}

// errShown reports output that is not what VPP 25.06 to 26.06 print.
var errShown = errors.New("VPP shows a MAP domain in an unknown form")

// complete takes the rules of d from what VPP shows of the domain with its
// index. It reports whether that is d.
func complete(d *plan.Domain, shown string) (same bool, err error) {
	head, rules, _ := strings.Cut(shown, "\n")
	if !strings.HasPrefix(head, "[") || !strings.Contains(head, " ip4-pfx ") {
		return false, fmt.Errorf("%w: %.80q", errShown, head)
	}
	if !strings.HasPrefix(head, fmt.Sprintf("[%d] tag {%s} ip4-pfx %s ", d.Index, d.Tag, d.IPv4)) {
		return false, nil
	}
	d.Rules = make(map[uint16]netip.Addr, 1<<min(d.Length, 6))
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		psid, b4, ok := parseRule(line)
		if !ok {
			return false, fmt.Errorf("%w: %.80q", errShown, line)
		}
		d.Rules[psid] = b4
	}
	return true, nil
}

// parseRule reads a line like "rule psid: 5 ip6-dst 2001:db8::5".
func parseRule(line string) (psid uint16, b4 netip.Addr, ok bool) {
	number, address, ok := strings.Cut(line, " ip6-dst ")
	number, isRule := strings.CutPrefix(number, "rule psid: ")
	if !ok || !isRule {
		return 0, netip.Addr{}, false
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return 0, netip.Addr{}, false
	}
	b4, err = netip.ParseAddr(address)
	return uint16(n), b4, err == nil && b4.Is6()
}
