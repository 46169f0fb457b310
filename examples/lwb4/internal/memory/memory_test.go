package memory

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

var (
	one = netip.MustParseAddr("2001:db8:ffff::1")
	two = netip.MustParseAddr("2001:db8:ffff::2")
)

func open(t *testing.T, path string) *Memory {
	t.Helper()
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "lwb4.json")
	m := open(t, path)
	first, err := m.Nonce(one)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := m.Nonce(two); err != nil || other == first {
		t.Errorf("two lwAFTRs have the same nonce, %v", err)
	}
	if again, err := open(t, path).Nonce(one); err != nil || again != first {
		t.Errorf("%s after a restart, it was %s, %v", again, first, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("%d files are left, %v", len(all), err)
	}
}

func TestWithoutFile(t *testing.T) {
	m := open(t, "")
	first, err := m.Nonce(one)
	again, _ := m.Nonce(one)
	if err != nil || first != again {
		t.Errorf("%s and %s, %v", first, again, err)
	}
}

func TestOtherPeoplesFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "text": "hello", "another type": `{"pcp-nonces": 5}`, "not hexadecimal": `{"pcp-nonces": {"::1": "xyz"}}`,
		"large": string(bytes.Repeat([]byte(" "), maxSize+1)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path); err == nil {
				t.Error("taken for a file of lwb4")
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != text {
				t.Error("was changed")
			}
		})
	}
	if _, err := Open("/proc/nonexistent/lwb4.json"); err == nil {
		t.Error("a file that cannot be written")
	}
}

func FuzzContent(f *testing.F) {
	f.Add([]byte(`{"pcp-nonces": {"2001:db8::1": "0102030405060708090a0b0c"}}`))
	f.Add([]byte(`{"pcp-nonces": {"2001:db8::1": "01"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Open(path)
		if err != nil {
			return
		}
		if _, err := m.Nonce(one); err != nil {
			t.Error(err)
		}
	})
}
