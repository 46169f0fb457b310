package netio

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// TestLinks: what becomes of an interface, and of the other end of its cable, is
// known at once.
func TestLinks(t *testing.T) {
	n := newNamespace(t)
	var links *Links
	change := func(name string, up bool) {
		n.do(func() {
			link, err := netlink.LinkByName(name)
			if err == nil && up {
				err = netlink.LinkSetUp(link)
			} else if err == nil {
				err = netlink.LinkSetDown(link)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	n.do(func() {
		cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "here"}, PeerName: "there"}
		if err := netlink.LinkAdd(cable); err != nil {
			t.Errorf("veth: %v", err)
		}
	})
	change("here", true)
	change("there", true)
	n.do(func() {
		var err error
		if links, err = OpenLinks("here", "lo", "here"); err != nil {
			t.Errorf("OpenLinks: %v", err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	defer links.Close()
	ctx, cancel := context.WithCancel(t.Context())
	told, done := make(chan string), make(chan error)
	go func() {
		done <- links.Run(ctx, func(wrong string) {
			select {
			case told <- wrong:
			case <-ctx.Done():
			}
		})
	}()
	is := func(want string) {
		t.Helper()
		late := time.After(patience)
		for last := ""; ; {
			select {
			case last = <-told:
				if strings.Contains(last, want) && (want != "" || last == "") {
					return
				}
			case <-late:
				t.Fatalf("told %q, want %q", last, want)
			}
		}
	}
	is("")
	change("there", false)
	is("here has no link")
	change("there", true)
	is("")
	change("here", false)
	is("here is switched off")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}
