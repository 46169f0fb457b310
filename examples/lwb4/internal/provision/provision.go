// Package provision owns what a CPE does about what it is told: which lwAFTR it
// uses, with which ports, until when, and what comes next when that ends.
//
// It is one value, Machine, that takes events and returns actions, and does
// nothing else. Offers come from the configuration or from DHCPv6. An offer has its
// ports with it, or the lwAFTR is asked for them by PCP.
package provision

import (
	"errors"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
)

// Offer is one lwAFTR that may be used.
type Offer struct {
	Ends assign.Ends
	// Ports are those that come with the offer. Without any the lwAFTR is asked.
	Ports assign.Ports
	// Until is when the offer ends; zero is never.
	Until time.Time
}

// asks says whether the lwAFTR has to be asked for ports.
func (o Offer) asks() bool { return len(o.Ports.Sets) == 0 }

// Rules are what the operator decides.
type Rules struct {
	// Patience is how long an lwAFTR may leave a request for ports unanswered before
	// the next one has its turn.
	Patience time.Duration
	// Recover has the ports asked for anew when the lwAFTR says that it has no binding
	// for them; not more often than RecoverAfter, which doubles up to RecoverAtMost
	// if that is no help.
	Recover                     bool
	RecoverAfter, RecoverAtMost time.Duration
	// Retry is the pause after a tunnel that could not be made; it doubles up to
	// RetryAtMost.
	Retry, RetryAtMost time.Duration
}

// DefaultRules are those of an operator who says nothing.
func DefaultRules() Rules {
	return Rules{
		Patience: 20 * time.Second,
		Recover:  true, RecoverAfter: 10 * time.Second, RecoverAtMost: 5 * time.Minute,
		Retry: time.Second, RetryAtMost: time.Minute,
	}
}

// Event is what happens to a CPE.
type Event interface{ event() }

// The events.
type (
	// Offered is all offers that there are now, in order of preference.
	Offered struct{ Offers []Offer }
	// Granted is that the lwAFTR which is connected gave ports, or confirmed them.
	Granted struct {
		Ports assign.Ports
		Until time.Time // zero is never
	}
	// Refused is that it gave none, or took back what it gave.
	Refused struct{ Err error }
	// Silent is that it does not answer any more.
	Silent struct{}
	// Unbound is that it has no binding for what is sent to it.
	Unbound struct{}
	// Broken is that there is no tunnel: it could not be made, or has ended.
	Broken struct{ Err error }
	// Tick is that the time of Next has come.
	Tick struct{}
)

func (Offered) event() {}
func (Granted) event() {}
func (Refused) event() {}
func (Silent) event()  {}
func (Unbound) event() {}
func (Broken) event()  {}
func (Tick) event()    {}

// Action is what a step asks for, in the order of its fields.
type Action struct {
	// Disconnect ends the tunnel, if there is one, and all asking.
	Disconnect bool
	// Connect makes a tunnel to an offer's lwAFTR. If the offer has no ports it is
	// asked for them.
	Connect *Offer
	// Use has the NAT use these ports, none if there are none in it, and no others.
	Use *assign.Ports
	// Ask has the lwAFTR asked for ports again, at once.
	Ask bool
	// Renew has whoever made the offers asked for them again.
	Renew bool
	// Note is what an operator may want to know, empty if nothing.
	Note string
}

// The reasons for which a Machine has no ports.
var (
	ErrNoOffer = errors.New("no lwAFTR is known")
	ErrExpired = errors.New("the ports have expired")
	ErrUnbound = errors.New("the lwAFTR has no binding for the ports")
	ErrSilent  = errors.New("the lwAFTR does not answer")
)

// Phase is how far a CPE has got.
type Phase uint8

// The phases.
const (
	Waiting Phase = iota // for an offer, or for the end of a pause
	Asking               // connected, without ports
	Using                // with ports
)

// String is one word.
func (p Phase) String() string {
	switch p {
	case Waiting:
		return "waiting"
	case Asking:
		return "asking"
	case Using:
		return "up"
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Status is what there is to know of a Machine.
type Status struct {
	Phase Phase
	Ends  assign.Ends  // unless it is Waiting
	Ports assign.Ports // while it is Using
	Until time.Time    // of the ports; zero is never
	Err   error        // why there are no ports, or the last thing that went wrong
}
