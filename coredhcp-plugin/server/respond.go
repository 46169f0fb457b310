package server

import (
	"context"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// Identifier is the option by which clients know the server with a DUID. Its octets
// are made once, and not for each answer.
func Identifier(duid dhcpv6.DUID) dhcpv6.Option {
	return &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: duid.ToBytes()}
}

// Respond answers a datagram of a client or relay agent as a server of its own, with
// an Identifier, that has prefixes and no addresses. nil is no answer. device is what
// it came in by.
func (s *Server) Respond(ctx context.Context, device string, self dhcpv6.Option, datagram []byte) []byte {
	req, err := dhcpv6.FromBytes(datagram)
	if err != nil {
		s.warn(malformed, question{}, err)
		return nil
	}
	msg, err := req.GetInnerMessage()
	if err != nil {
		s.warn(malformed, question{}, err)
		return nil
	}
	to, _ := s.Answer(ctx, device, req, begin(msg, self))
	answer, ok := to.(*dhcpv6.Message)
	// RFC 8415 section 18.3.3: who has no addresses cannot say anything of them.
	if !ok || answer == nil || msg.Type() == dhcpv6.MessageTypeConfirm {
		return nil
	}
	refuseAddresses(msg, answer)
	relay, ok := req.(*dhcpv6.RelayMessage)
	if !ok {
		return answer.ToBytes()
	}
	wrapped, err := dhcpv6.NewRelayReplFromRelayForw(relay, answer)
	if err != nil {
		s.warn(malformed, question{}, err)
		return nil
	}
	return wrapped.ToBytes()
}

// begin is the answer to msg before anybody has looked at it (RFC 8415 sections
// 18.3.9 and 18.3.10).
func begin(msg *dhcpv6.Message, self dhcpv6.Option) *dhcpv6.Message {
	to := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: msg.TransactionID}
	to.Options.Options = make(dhcpv6.Options, 0, 8) // most answers have fewer
	to.AddOption(self)
	if client := msg.GetOneOption(dhcpv6.OptionClientID); client != nil {
		to.AddOption(client)
	}
	if msg.Type() == dhcpv6.MessageTypeSolicit {
		if rapid := msg.GetOneOption(dhcpv6.OptionRapidCommit); rapid != nil {
			to.AddOption(rapid)
		} else {
			to.MessageType = dhcpv6.MessageTypeAdvertise
		}
	}
	return to
}

// refuseAddresses answers each IA for addresses (RFC 8415 sections 18.3.2, 18.3.4,
// 18.3.7 and 18.3.9).
func refuseAddresses(msg, to *dhcpv6.Message) {
	var status dhcpv6.Option = &dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail, StatusMessage: "no addresses here"}
	switch msg.Type() {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest:
	default:
		status = &dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding, StatusMessage: messageOf(iana.StatusNoBinding)}
	}
	for i, na := range msg.Options.IANA() {
		if i == maxIAs {
			return
		}
		to.AddOption(&dhcpv6.OptIANA{IaId: na.IaId, Options: dhcpv6.IdentityOptions{Options: dhcpv6.Options{status}}})
	}
	for i, ta := range msg.Options.IATA() {
		if i == maxIAs {
			return
		}
		to.AddOption(&dhcpv6.OptIATA{IaId: ta.IaId, Options: dhcpv6.IdentityOptions{Options: dhcpv6.Options{status}}})
	}
}
