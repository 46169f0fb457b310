package server

import (
	"encoding/hex"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
)

// event is something that is counted.
type event uint8

const (
	solicits event = iota
	requests
	confirms
	renews
	rebinds
	releases
	declines
	informations
	answered
	provisioned
	withheld
	exhausted
	noPrefix
	noBinding
	malformed
	elsewhere
	limited
	overloaded
	failed
	events // how many there are
)

// Count is how often something has happened since the server was made.
type Count struct {
	Name, Meaning string
	Drop          bool // of a message
	Count         uint64
}

// describe is e without a number.
func (e event) describe() Count {
	return [events]Count{
		solicits:     {Name: "solicit", Meaning: "Solicit messages taken"},
		requests:     {Name: "request", Meaning: "Request messages taken"},
		confirms:     {Name: "confirm", Meaning: "Confirm messages taken"},
		renews:       {Name: "renew", Meaning: "Renew messages taken"},
		rebinds:      {Name: "rebind", Meaning: "Rebind messages taken"},
		releases:     {Name: "release", Meaning: "Release messages taken"},
		declines:     {Name: "decline", Meaning: "Decline messages taken"},
		informations: {Name: "information-request", Meaning: "Information-request messages taken"},
		answered:     {Name: "answered", Meaning: "DHCPv6 messages answered"},
		provisioned:  {Name: "provisioned", Meaning: "replies with a softwire"},
		withheld:     {Name: "withheld", Meaning: "replies without the softwire, or with what is known of it, since its source did not answer in time"},
		exhausted:    {Name: "exhausted", Meaning: "replies without a softwire since there is none for the subscriber"},
		noPrefix:     {Name: "no-prefix", Meaning: "IA_PDs answered NoPrefixAvail"},
		noBinding:    {Name: "no-binding", Meaning: "IA_PDs answered NoBinding"},
		malformed:    {Name: "malformed", Meaning: "DHCPv6 messages that are not valid", Drop: true},
		elsewhere:    {Name: "other-server", Meaning: "DHCPv6 messages for another server", Drop: true},
		limited:      {Name: "limited", Meaning: "DHCPv6 messages beyond client-rate or link-rate", Drop: true},
		overloaded:   {Name: "overloaded", Meaning: "DHCPv6 messages that found no room to wait, or waited too long", Drop: true},
		failed:       {Name: "failed", Meaning: "DHCPv6 messages that could not be decided or stored", Drop: true},
	}[e]
}

// received is the event of a message of a type that questionOf lets through.
func received(kind dhcpv6.MessageType) event {
	switch kind {
	case dhcpv6.MessageTypeSolicit:
		return solicits
	case dhcpv6.MessageTypeRequest:
		return requests
	case dhcpv6.MessageTypeConfirm:
		return confirms
	case dhcpv6.MessageTypeRenew:
		return renews
	case dhcpv6.MessageTypeRebind:
		return rebinds
	case dhcpv6.MessageTypeRelease:
		return releases
	case dhcpv6.MessageTypeDecline:
		return declines
	}
	return informations
}

// counts are counters, and when something was logged last.
type counts struct {
	mu     sync.Mutex
	of     [events]uint64
	logged [events]time.Time
}

func (c *counts) add(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[e]++
}

// logPause is the least time between two log entries about the same.
const logPause = 10 * time.Second

// note counts e, and says whether it is to be logged.
func (c *counts) note(e event) (total uint64, news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[e]++
	if now := time.Now(); now.Sub(c.logged[e]) >= logPause {
		c.logged[e] = now
		news = true
	}
	return c.of[e], news
}

// warn counts e, and logs it now and then.
func (s *Server) warn(e event, q question, err error) {
	total, news := s.counts.note(e)
	if !news {
		return
	}
	log := s.log.WithFields(logrus.Fields{
		"client": hex.EncodeToString([]byte(q.duid)), "link": q.at.address, "message": q.kind, "so-far": total,
	})
	if err != nil {
		log = log.WithError(err)
	}
	log.Warn(e.describe().Meaning)
}

// Stats is how the server is, and what it has done.
type Stats struct {
	Delegations delegation.Stats
	Counts      []Count
}

// Stats returns the present numbers.
func (s *Server) Stats() Stats {
	stats := Stats{Delegations: s.keeper.Stats()}
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	for e := range events {
		c := e.describe()
		c.Count = s.counts.of[e]
		stats.Counts = append(stats.Counts, c)
	}
	return stats
}
