package cpe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
)

// undoing takes steps back in the opposite order.
type undoing struct{ steps []func() error }

// add notes how to take back a step that was done.
func (u *undoing) add(back func() error) { u.steps = append(u.steps, back) }

func (u *undoing) all() error {
	var errs []error
	for _, back := range slices.Backward(u.steps) {
		errs = append(errs, back())
	}
	u.steps = nil
	return errors.Join(errs...)
}

// forwarding is the switch that makes this machine an IPv4 router.
const forwarding = "/proc/sys/net/ipv4/ip_forward"

// forward turns forwarding on, for as long as the CPE runs if it was off.
func (u *undoing) forward() error {
	before, err := os.ReadFile(forwarding)
	if err != nil {
		return fmt.Errorf("IPv4 forwarding: %w", err)
	}
	if bytes.Equal(bytes.TrimSpace(before), []byte("1")) {
		return nil
	}
	set := func(to []byte) error {
		if err := os.WriteFile(forwarding, to, 0o644); err != nil {
			return fmt.Errorf("IPv4 forwarding: %w", err)
		}
		return nil
	}
	if err := set([]byte("1")); err != nil {
		return err
	}
	u.add(func() error { return set(before) })
	return nil
}
