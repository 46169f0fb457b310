package scene

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/lwaftr/lw4o6/integration/probe"
)

// ECN codepoints (RFC 3168 section 5).
const (
	ect0 = 2
	ce   = 3
)

// ecn expects that marks are carried into and out of the softwire, and that
// congestion which the access network marks on the outer header arrives.
func ecn(ctx context.Context, s *Scene) (evidence string, err error) {
	const dscp = 0xb8
	if err := s.expectTOS(ctx, dscp|ect0, dscp|ect0); err != nil {
		return "", err
	}
	if err := s.Access.Do(func() error { return congest(true) }); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Access.Do(func() error { return congest(false) })) }()
	if err := s.expectTOS(ctx, dscp|ect0, dscp|ce); err != nil {
		return "", fmt.Errorf("with congestion: %w", err)
	}
	return fmt.Sprintf("TOS %#x came back as it was, and as %#x with congestion marked in the access network",
		dscp|ect0, dscp|ce), nil
}

// expectTOS sends a datagram of host1 with one TOS octet to the echo, which
// answers with what it receives, and expects another.
func (s *Scene) expectTOS(ctx context.Context, sent, want uint8) error {
	d, err := probe.OpenDatagram(s.Hosts[0], netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		return err
	}
	defer d.Close()
	r, err := d.Exchange(ctx, s.Echo(), sent, []byte("marked"))
	if err != nil {
		return err
	}
	if r.TOS != want {
		return fmt.Errorf("TOS %#x came back as %#x, want %#x", sent, r.TOS, want)
	}
	return nil
}

// congest makes the kernel's namespace mark every IPv6 packet that it forwards
// and that says it knows ECN, or ends that.
func congest(on bool) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv6, Name: "congestion"}
	conn.AddTable(table)
	if !on {
		conn.DelTable(table)
		return conn.Flush()
	}
	chain := conn.AddChain(&nftables.Chain{
		Table: table, Name: "forward", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	// The second octet of an IPv6 header holds the ECN bits as 0x30.
	const ecnBits = 0x30
	second := expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: 1, Len: 1}
	load, write := second, second
	load.DestRegister = 1
	write.OperationType, write.SourceRegister = expr.PayloadWrite, 1
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&load,
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{ecnBits}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0}},
		&load,
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{^byte(ecnBits)}, Xor: []byte{ecnBits}},
		&write,
	}})
	return conn.Flush()
}
