package server

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
)

// release ends what the client gives back (RFC 8415 section 18.3.7). Run gives the
// softwires back, which may take longer than a client waits.
func (s *Server) release(ctx context.Context, q question, to *dhcpv6.Message) error {
	session, err := s.keeper.Session(ctx, q.who.Client)
	if err != nil {
		return err
	}
	defer session.Close()
	var unknown []uint32
	replayed := s.replays.known(q.who.Client, to.TransactionID)
	for _, ia := range q.ias {
		bound := !replayed && slices.ContainsFunc(session.Held(), func(d delegation.Delegation) bool { return d.IAID == ia.id })
		if !bound && !slices.Contains(unknown, ia.id) {
			unknown = append(unknown, ia.id)
		}
		for _, prefix := range ia.prefixes {
			if replayed {
				break
			}
			// "The server ignores leases not assigned to the IAs".
			_ = session.Release(ia.id, prefix)
		}
	}
	if err := session.Commit(ctx); err != nil {
		return err
	}
	s.replays.note(q.who.Client, to.TransactionID)
	if s.config.Follow {
		return nil // the answer is that of who delegates
	}
	to.AddOption(&dhcpv6.OptStatusCode{StatusCode: iana.StatusSuccess, StatusMessage: "released"})
	for _, id := range unknown {
		s.counts.add(noBinding)
		pd := &dhcpv6.OptIAPD{}
		binary.BigEndian.PutUint32(pd.IaId[:], id)
		pd.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding, StatusMessage: messageOf(iana.StatusNoBinding)})
		to.AddOption(pd)
	}
	return nil
}
