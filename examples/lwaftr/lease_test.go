package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
)

// lender writes the configuration of a router that lends 192.0.2.0/28.
func lender(t *testing.T) (path string) {
	t.Helper()
	dir := folder(t)
	path = filepath.Join(dir, "lwaftr.yaml")
	text := "pools:\n- {name: p, prefixes: [192.0.2.0/28], psid-len: 6, br-ipv6-addr: 2001:db8:ffff::1, mechanisms: [static, pcp]}\n" +
		"store: {path: " + dir + "/leases.db}\n" +
		"control: {socket: " + dir + "/control.sock}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// one runs a command that prints one lease, and returns it.
func one(t *testing.T, path string, args ...string) (l api.Lease) {
	t.Helper()
	r := lwaftr(t, append(args, "-c", path, "-o", "json")...).want(t, exitOK)
	if err := json.Unmarshal([]byte(r.out), &l); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	return l
}

// rows runs a command that prints a list, and returns its rows without the head.
func rows(t *testing.T, path string, args ...string) [][]string {
	t.Helper()
	r := lwaftr(t, append(args, "-c", path, "-o", "csv")...).want(t, exitOK)
	all, err := csv.NewReader(strings.NewReader(r.out)).ReadAll()
	if err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	return all[1:]
}

func TestLeaseCommands(t *testing.T) {
	path := lender(t)
	dp := fake.New()
	start(t, path, dp)
	added := one(t, path, "lease", "add", "--b4", "2001:db8:1::1", "--want", "192.0.2.1/0/6/7", "--comment", "ticket 4711")
	if added.PSID != 7 || added.Expires != nil || added.Attributes["comment"] != "ticket 4711" || len(dp.Held()) != 1 {
		t.Errorf("added %+v, the data plane has %v", added, dp.Held())
	}
	if again := one(t, path, "lease", "add", "--b4", "2001:db8:1::1"); again.Key != added.Key {
		t.Errorf("added again: %+v", again)
	}
	// PSID 7 of 64 is ports 7168 to 8191.
	for _, name := range []string{"192.0.2.1:8000", "192.0.2.1/0/6/7"} {
		if shown := one(t, path, "lease", "show", name); shown.Key != added.Key {
			t.Errorf("show %s: %+v", name, shown)
		}
	}
	if all := rows(t, path, "lease", "list", "--pool", "p", "--state", "bound"); len(all) != 1 || all[0][0] != "192.0.2.1" || all[0][10] != "never" || all[0][11] != "ticket 4711" {
		t.Errorf("list: %q", all)
	}
	moved := one(t, path, "lease", "move", "192.0.2.1:8000", "--to", "192.0.2.2/0/6/9")
	if moved.PSID != 9 || len(dp.Held()) != 2 {
		t.Errorf("moved: %+v, the data plane has %v", moved, dp.Held())
	}
	released := one(t, path, "lease", "release", "192.0.2.2/0/6/9", "--reason", "gone")
	if released.State != "resting" || released.HeldUntil == nil {
		t.Errorf("released: %+v", released)
	}
	reserved := one(t, path, "lease", "reserve", "192.0.2.3/0/6/8", "--b4", "2001:db8:2::1", "--mechanism", "pcp")
	if !reserved.Reserved || reserved.PSID != 8 {
		t.Errorf("reserved: %+v", reserved)
	}
	if free := one(t, path, "lease", "unreserve", "192.0.2.3/0/6/8"); free.Reserved {
		t.Errorf("unreserved: %+v", free)
	}
}

func TestComment(t *testing.T) {
	for comment, want := range map[string]string{"": "-", "Zähler 7": "Zähler 7", "a\x1b[2J\tb\n": `"a\x1b[2J\tb\n"`} {
		if got := commentOf(api.Lease{Attributes: map[string]string{"comment": comment}}); got != want {
			t.Errorf("%q is shown as %s, want %s", comment, got, want)
		}
	}
}

func TestPoolCommands(t *testing.T) {
	path := lender(t)
	start(t, path, fake.New())
	lwaftr(t, "pool", "add", "more", "--prefix", "198.51.100.0/24", "--psid", "0/4", "--br", "2001:db8:ffff::2", "--mechanism", "pcp", "-c", path).want(t, exitOK)
	lwaftr(t, "pool", "drain", "p", "-c", path).want(t, exitOK)
	all := rows(t, path, "pool", "list")
	if len(all) != 2 || all[0][7] != "static,pcp,draining" || all[1][0] != "more" || all[1][7] != "pcp" {
		t.Errorf("list: %q", all)
	}
	lwaftr(t, "pool", "undrain", "p", "-c", path).want(t, exitOK)
	lwaftr(t, "pool", "remove", "more", "-c", path).want(t, exitOK)
	r := lwaftr(t, "pool", "remove", "p", "-c", path).want(t, exitUsage)
	if want := `lwaftr: pool "p": unusable pool: it was not added while the router ran; pools of the configuration are changed there`; strings.Join(r.lines(), "\n") != want {
		t.Errorf("removing a pool of the configuration: %q", r.lines())
	}
}

// TestBackupCommands: a backup brings back what there was, over a store with
// something else, and not under a running router.
func TestBackupCommands(t *testing.T) {
	path := lender(t)
	backup := filepath.Join(filepath.Dir(path), "backup")
	r := start(t, path, fake.New())
	kept := one(t, path, "lease", "add", "--b4", "2001:db8:1::1")
	lwaftr(t, "backup", backup, "-c", path).want(t, exitOK)
	lwaftr(t, "backup", backup, "-c", path).want(t, exitFailure) // it is there already
	one(t, path, "lease", "add", "--b4", "2001:db8:2::1")
	if refused := lwaftr(t, "restore", backup, "-c", path).want(t, exitFailure); !strings.Contains(refused.errors, "in use by another process") {
		t.Errorf("restore under a running router: %s", refused.errors)
	}
	r.cancel()
	r.wait(t)

	text, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(backup+".cut", text[:len(text)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	lwaftr(t, "restore", backup+".cut", "-c", path).want(t, exitFailure)
	lwaftr(t, "restore", backup, "-c", path).want(t, exitOK)
	start(t, path, fake.New())
	if all := rows(t, path, "lease", "list"); len(all) != 1 || all[0][0] != kept.IPv4.String() || all[0][5] != "2001:db8:1::/56" {
		t.Errorf("after the restore: %q", all)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "leases.db.*")); err != nil || len(left) != 1 {
		t.Errorf("old stores: %q, %v", left, err)
	}
}

func TestBadLeaseUsage(t *testing.T) {
	path := lender(t)
	start(t, path, fake.New())
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"lease show x", exitUsage, `lwaftr: "x" is not a port set: use 192.0.2.1:PORT, 192.0.2.1/PSID-OFFSET/PSID-LEN/PSID, or 192.0.2.1`},
		{"lease show 192.0.2.1:6000", exitFailure, "lwaftr: nobody holds 192.0.2.1:6000, or has held it"},
		{"lease add", exitUsage, `lwaftr: --b4: "" is not an IPv6 address`},
		{"lease add --b4 2001:db8::1 --want 192.0.2.1/1", exitUsage, `lwaftr: "192.0.2.1/1" is not a port set: use 192.0.2.1:PORT, 192.0.2.1/PSID-OFFSET/PSID-LEN/PSID, or 192.0.2.1`},
		{"pool add x --prefix y", exitUsage, `lwaftr: --prefix: "y" is not an IPv4 prefix`},
		{"pool add x --prefix 198.51.100.0/24 --psid 9/9", exitUsage, `lwaftr: --psid: parameters "9/9": psid-offset 9, psid-len 9: psid-offset plus psid-len must be at most 16`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			r := lwaftr(t, append(strings.Fields(tt.args), "-c", path)...).want(t, tt.code)
			if got := strings.Join(r.lines(), "\n"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
