package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func same(text string) string { return text }

func text(s string, err error) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		if _, err := io.WriteString(w, s); err != nil {
			return err
		}
		return err
	}
}

// unpack is the files of a bundle.
func unpack(t *testing.T, b []byte) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for archive := tar.NewReader(compressed); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[head.Name] = string(content)
	}
}

// TestWrite: what cannot be had is named, and the rest is there.
func TestWrite(t *testing.T) {
	parts := []Part{
		{"a", text("one", nil)},
		{"b", text("half", errors.New("gone"))},
	}
	var out bytes.Buffer
	missing, err := Write(t.Context(), &out, "bundle", time.Unix(1, 0), parts, strings.ToUpper)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b"}, missing); diff != "" {
		t.Errorf("missing: -want +got:\n%s", diff)
	}
	want := map[string]string{
		"bundle/a": "ONE", "bundle/b": "HALF", "bundle/missing": "B: GONE\n",
	}
	if diff := cmp.Diff(want, unpack(t, out.Bytes())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	out.Reset()
	if missing, err := Write(t.Context(), &out, "bundle", time.Unix(1, 0), parts[:1], same); err != nil || missing != nil || len(unpack(t, out.Bytes())) != 1 {
		t.Errorf("of whole parts: %v, %v", missing, err)
	}
}

func TestLimited(t *testing.T) {
	l := &limited{left: 5}
	for _, tt := range []struct {
		write string
		n     int
		err   error
	}{{"abc", 3, nil}, {"de", 2, nil}, {"", 0, nil}, {"f", 0, errTooLong}} {
		if n, err := l.Write([]byte(tt.write)); n != tt.n || err != tt.err {
			t.Errorf("%q: %d, %v", tt.write, n, err)
		}
	}
	if l.text.String() != "abcde" {
		t.Errorf("kept %q", l.text.String())
	}
}

func TestClean(t *testing.T) {
	c := NewCleaner([]netip.Addr{netip.MustParseAddr("2001:db8:ffff::1")})
	anonymous := regexp.MustCompile(`anon[46]?-[0-9a-f]{10}`)
	for _, tt := range []struct{ name, in, want string }{
		{"lwB4", "lwB4 2001:db8:1::1 BR 2001:db8:ffff::1", "lwB4 * BR 2001:db8:ffff::1"},
		{"prefix", "of 2001:db8:1::/56", "of */56"},
		{"key", "put of softwire 192.0.2.1 psid 0/6/1: no", "put of softwire * psid 0/6/1: no"},
		{"end of a sentence", "to 2001:db8::5.", "to *."},
		{"before a colon", "2001:db8::5: refused", "*: refused"},
		{"with a port", "[2001:db8::5]:5351 192.0.2.1:9300", "[*]:5351 *:9300"},
		{"JSON", `{"binding-ipv6info":"2001:db8::5","psid":1}`, `{"binding-ipv6info":"*","psid":1}`},
		{"mapped", "::ffff:192.0.2.1", "*"},
		{"nobody's", ":: ::1 127.0.0.1 ff02::1", ":: ::1 127.0.0.1 ff02::1"},
		{"times", "at 12:34:56 and 2026-11-22T05:20:00Z", "at 12:34:56 and 2026-11-22T05:20:00Z"},
		{"hardware", "02:42:ac:11:00:02", "02:42:ac:11:00:02"},
		{"attributes", `duid=00030001 comment="a \"b\" c" nonce=ff`, `duid=* comment=* nonce=*`},
		{"attributes in JSON", `"duid": "0003", "comment":"x"`, `"duid": *, "comment":*`},
		{"nothing", "reconcile: synced", "reconcile: synced"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := anonymous.ReplaceAllString(c.Clean(tt.in), "*"); got != tt.want {
				t.Errorf("%q became %q", tt.in, got)
			}
		})
	}
	if c.Clean("2001:db8::5") != c.Clean("2001:0db8:0::5") || c.Clean("2001:db8::5") == c.Clean("2001:db8::6") {
		t.Error("an address has two names, or two have one")
	}
	if c.Clean("2001:db8::5") == NewCleaner(nil).Clean("2001:db8::5") {
		t.Error("two bundles have the same name for an address")
	}
}

// TestCleanLeavesNoAddress: whatever stands around it, no address is left.
func TestCleanLeavesNoAddress(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := NewCleaner(nil)
	before := []string{"", " ", "=", "\"", "[", "(", ",", "->", "<", "lwB4 ", ": "}
	behind := []string{"", " ", "\"", "]:5351", ")", ",", "/56", ": ", ".\n", "->", ">", "%eth0"}
	for range 2000 {
		var b [16]byte
		for i := range b {
			if random.IntN(2) == 0 {
				b[i] = byte(random.Uint32())
			}
		}
		b[0] = 0x20
		ip := netip.AddrFrom16(b).String()
		line := before[random.IntN(len(before))] + ip + behind[random.IntN(len(behind))]
		if got := c.Clean(line); strings.Contains(got, ip) {
			t.Fatalf("%q became %q", line, got)
		}
	}
}

func TestWithoutSecrets(t *testing.T) {
	in := `# made for Smith
bgp:
  peers:
    - name: a  # the one in Bern
      password: "s3cret, with } everything # in it"
    - {name: b, password: 'a,b}c', port: 179}
    - name: c
      password: |
        on its own
        lines
      password-file: /etc/lw4o6/b
  Secret: 'x'
control: {listen: {key: /etc/lw4o6/tls/router.key}}
7: a number as key
`
	got, err := WithoutSecrets([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	want := `bgp:
  peers:
  - name: a
    password: removed
  - name: b
    password: removed
    port: 179
  - name: c
    password: removed
    password-file: /etc/lw4o6/b
  Secret: removed
control:
  listen:
    key: /etc/lw4o6/tls/router.key
"7": a number as key
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err := WithoutSecrets([]byte("password: [s3cret")); err == nil || got != nil {
		t.Errorf("what is no YAML: %q, %v", got, err)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("lwB4 2001:db8::1 duid=00 192.0.2.1:5351")
	c := NewCleaner(nil)
	f.Fuzz(func(t *testing.T, text string) {
		once := c.Clean(text)
		if again := c.Clean(once); again != once {
			t.Errorf("%q became %q and then %q", text, once, again)
		}
	})
}
