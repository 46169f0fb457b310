package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"go.fd.io/govpp/api"
	maps "go.fd.io/govpp/binapi/map"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/binapi/vlib"

	"github.com/lwaftr/lw4o6/vppdrv/plan"
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

// maxDumped is the longest psid-len whose rules VPP can list over the API: at
// 16 its loop over them never ends (map_rule_dump of map_api.c).
const maxDumped = 15

// ahead is how many domains are asked for before the first answer is read.
const ahead = 64

// readRules calls each with every domain of all, completed with its rules,
// until it returns false.
func readRules(ctx context.Context, conn api.Connection, all []plan.Domain, each func(plan.Domain) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	asked := 0
	for i := range all {
		for ; asked < len(all) && asked < i+ahead; asked++ {
			if err := askRules(stream, all[asked]); err != nil {
				return fmt.Errorf("reading MAP rules: %w", err)
			}
		}
		d := all[i]
		d.Rules = make(map[uint16]netip.Addr, 1<<min(d.Length, 6))
		if d.Length > maxDumped {
			err = readLongRules(ctx, conn, &d)
		} else {
			err = answerRules(stream, &d)
		}
		if err != nil {
			return fmt.Errorf("reading MAP rules of domain %d: %w", d.Index, err)
		}
		if !each(d) {
			return nil
		}
	}
	return nil
}

// askRules asks for the rules of d. VPP does not say where a list ends, but it
// answers in order.
func askRules(stream api.Stream, d plan.Domain) error {
	if d.Length > maxDumped {
		return nil
	}
	if err := stream.SendMsg(&maps.MapRuleDump{DomainIndex: d.Index}); err != nil {
		return err
	}
	return stream.SendMsg(&memclnt.ControlPing{})
}

// answerRules reads the rules that were asked for.
func answerRules(stream api.Stream, d *plan.Domain) error {
	for {
		m, err := stream.RecvMsg()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *maps.MapRuleDetails:
			d.Rules[m.Psid] = netip.AddrFrom16(m.IP6Dst)
		case *memclnt.ControlPingReply:
			return nil
		default:
			return fmt.Errorf("VPP answers with %s", m.GetMessageName())
		}
	}
}

// readLongRules reads the rules of a domain whose psid-len is 16.
func readLongRules(ctx context.Context, conn api.Connection, d *plan.Domain) error {
	request := &vlib.CliInband{Cmd: fmt.Sprintf("show map domain index %d\n", d.Index)}
	reply, err := vlib.NewServiceClient(conn).CliInband(ctx, request)
	if err != nil {
		return err
	}
	for line := range strings.Lines(reply.Reply) {
		psid, b4, ok := parseRule(line)
		if ok {
			d.Rules[psid] = b4
		}
	}
	return nil
}

// parseRule reads a line like " rule psid: 5 ip6-dst 2001:db8::5".
func parseRule(line string) (psid uint16, b4 netip.Addr, ok bool) {
	var address string
	if n, err := fmt.Sscanf(strings.TrimSpace(line), "rule psid: %d ip6-dst %s", &psid, &address); n != 2 || err != nil {
		return 0, netip.Addr{}, false
	}
	b4, err := netip.ParseAddr(address)
	return psid, b4, err == nil
}
