package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"
)

// BGP is what is announced, why the rest is not, and who was told.
type BGP struct {
	Pools  []BGPPool  `json:"pools"`
	Routes []BGPRoute `json:"routes"`
	Peers  []BGPPeer  `json:"peers"`
	Alarms []BGPAlarm `json:"alarms"`
}

// BGPPool is where one pool stands.
type BGPPool struct {
	Name string `json:"name"`
	// State is unknown, waiting, announced, withdrawn, hold-down, held, draining
	// or drained.
	State  string     `json:"state"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty"`  // when State may change by itself
	Reason string     `json:"reason,omitempty"` // why it is not announced, or what it waits for

	Softwires  int `json:"softwires"`
	Programmed int `json:"programmed"`
	// PacketRate is in packets per second; there while it drains.
	PacketRate  *float64 `json:"packet-rate,omitempty"`
	Withdrawals uint64   `json:"withdrawals"`
	Holds       uint64   `json:"holds"`
}

// BGPRoute is one route that there is.
type BGPRoute struct {
	Prefix    netip.Prefix `json:"prefix"`
	Pools     []string     `json:"pools"`
	Announced bool         `json:"announced"`
	Drain     bool         `json:"drain,omitempty"`
	Blackhole bool         `json:"blackhole,omitempty"`
	Reason    string       `json:"reason,omitempty"` // why it is not announced
}

// BGPPeer is one session.
type BGPPeer struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	AS      uint32     `json:"as"`
	// State is that of RFC 4271 section 8.2.2 in small letters, or down.
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Sessions uint64    `json:"sessions"` // that came up
	Flaps    uint64    `json:"flaps"`    // and ended
	// PID is that of the speaker, and Starts how many there were.
	PID       int            `json:"pid,omitempty"`
	Starts    uint64         `json:"starts"`
	Announced []netip.Prefix `json:"announced"`
	// Withheld is what the peer does not get, since it does not understand its
	// next hop (RFC 8950).
	Withheld  []netip.Prefix `json:"withheld,omitempty"`
	Error     string         `json:"error,omitempty"` // what went wrong last
	ErrorTime *time.Time     `json:"error-time,omitempty"`
}

// BGPAlarm is something that an operator should look at.
type BGPAlarm struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject,omitempty"` // the pool or prefix that it is about
	Text    string `json:"text"`
}

// BGPRequest is about some pools, or all if it names none.
type BGPRequest struct {
	Pools []string `json:"pools,omitempty"`
}

// BGP asks what is announced.
func (c *Client) BGP(ctx context.Context) (BGP, error) {
	return call[BGP](ctx, c, http.MethodGet, PathBGP, nil)
}

// Drain begins to take pools out of the network, and does not wait for the end.
// No pools are all.
func (c *Client) Drain(ctx context.Context, pools ...string) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathBGPDrain, BGPRequest{pools})
	return err
}

// Undrain brings drained or held pools back. No pools are all.
func (c *Client) Undrain(ctx context.Context, pools ...string) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathBGPUndrain, BGPRequest{pools})
	return err
}

// ReleaseHold lets held pools go, and leaves drains as they are. No pools are all.
func (c *Client) ReleaseHold(ctx context.Context, pools ...string) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathBGPRelease, BGPRequest{pools})
	return err
}
