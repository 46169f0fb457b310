package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// fakeAnnouncing remembers what it was asked.
type fakeAnnouncing struct{ asked []string }

func (f *fakeAnnouncing) BGP(context.Context) (api.BGP, error) {
	return api.BGP{Pools: []api.BGPPool{{Name: "a", State: "announced"}}}, nil
}

func (f *fakeAnnouncing) ask(what string, pools []string) error {
	f.asked = append(f.asked, fmt.Sprint(what, pools))
	if len(pools) == 0 {
		return nil
	}
	return map[string]error{"x": announce.ErrPool, "shared": announce.ErrShared, "disk": announce.ErrState}[pools[0]]
}

func (f *fakeAnnouncing) Drain(pools []string) error   { return f.ask("drain", pools) }
func (f *fakeAnnouncing) Undrain(pools []string) error { return f.ask("undrain", pools) }
func (f *fakeAnnouncing) Release(pools []string) error { return f.ask("release", pools) }

// TestAnnouncing: orders get through, and what is wrong with them has a code.
func TestAnnouncing(t *testing.T) {
	fake := &fakeAnnouncing{}
	f := newFake(t, 1)
	f.announcing = fake
	c, _ := serve(t, f)
	if b, err := c.BGP(t.Context()); err != nil || len(b.Pools) != 1 || b.Pools[0].State != "announced" {
		t.Errorf("got %+v, %v", b, err)
	}
	for _, err := range []error{
		c.Drain(t.Context()), c.Drain(t.Context(), "a", "b"), c.Undrain(t.Context(), "a"), c.ReleaseHold(t.Context()),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if want := []string{"drain[]", "drain[a b]", "undrain[a]", "release[]"}; !slices.Equal(fake.asked, want) {
		t.Errorf("asked %q, want %q", fake.asked, want)
	}
	for name, code := range map[string]api.Code{"x": api.CodeUnknown, "shared": api.CodeTaken, "disk": api.CodeStorage} {
		if err := c.Drain(t.Context(), name); !errors.Is(err, code) {
			t.Errorf("%s: %v, want %s", name, err, code)
		}
	}
	without, _ := serve(t, newFake(t, 1))
	var refused *api.Error
	if _, err := without.BGP(t.Context()); !errors.As(err, &refused) || refused.Status != http.StatusNotImplemented {
		t.Errorf("without peers: %v", err)
	}
}
