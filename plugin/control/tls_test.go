package control

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/provision"
)

// authority issues certificates for tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
	file        string
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames:    []string{name},
		IPAddresses: []net.IP{net.ParseIP("::1")},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func writePEM(t *testing.T, path, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	c := template("authority")
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a := &authority{certificate: c, key: key, pool: x509.NewCertPool()}
	a.pool.AddCert(c)
	a.file = writePEM(t, filepath.Join(t.TempDir(), "ca.pem"), "CERTIFICATE", der)
	return a
}

// issue writes a certificate and its key to files.
func (a *authority) issue(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	dir, k := t.TempDir(), newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template(name), a.certificate, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", der),
		writePEM(t, filepath.Join(dir, "key.pem"), "EC PRIVATE KEY", private)
}

// clientConfig trusts a and shows a certificate of from, if there is one.
func (a *authority) clientConfig(t *testing.T, from *authority) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: a.pool}
	if from != nil {
		pair, err := tls.LoadX509KeyPair(from.issue(t, "client"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// TestTLS: the API over TCP is for clients with a certificate of the right
// authority only, beside the socket.
func TestTLS(t *testing.T) {
	routers, clients, strangers := newAuthority(t), newAuthority(t), newAuthority(t)
	config := Config{
		Socket: socketPath(t), Rate: 1000,
		Listen: &TLSConfig{Address: netip.MustParseAddrPort("[::1]:0"), ClientCA: clients.file},
	}
	config.Listen.Certificate, config.Listen.Key = routers.issue(t, "router")
	listeners, err := Listen(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	f := newFake(t, 3)
	f.lending = &Lending{Leases: &slowLeases{}}
	go func() { done <- New(f.router(), config.Rate, quiet()).Run(ctx, listeners...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	address := listeners[1].Addr().String()
	ask := func(c *api.Client) error {
		defer c.Close()
		_, err := c.Status(t.Context())
		return err
	}
	if err := ask(api.NewTLSClient(address, routers.clientConfig(t, clients))); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if err := ask(api.NewClient(config.Socket)); err != nil {
		t.Errorf("on the socket: %v", err)
	}
	overTLS := api.NewTLSClient(address, routers.clientConfig(t, clients))
	defer overTLS.Close()
	if _, err := streaming(t, overTLS).Offer(t.Context(), lease.Request{}); !errors.Is(err, api.CodeExhausted) {
		t.Errorf("by a stream: %v", err)
	}
	for name, from := range map[string]*authority{"without a certificate": nil, "with a stranger's certificate": strangers} {
		if err := ask(api.NewTLSClient(address, routers.clientConfig(t, from))); err == nil || !strings.Contains(err.Error(), "tls: ") {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Renewed files count for the next connection.
	text, err := os.ReadFile(strangers.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(clients.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ask(api.NewTLSClient(address, routers.clientConfig(t, strangers))); err != nil {
		t.Errorf("after the authority has changed: %v", err)
	}
}

func TestTLSRefuses(t *testing.T) {
	a := newAuthority(t)
	good := TLSConfig{Address: netip.MustParseAddrPort("[::1]:0"), ClientCA: a.file}
	good.Certificate, good.Key = a.issue(t, "router")
	tests := map[string]struct {
		spoil func(*TLSConfig)
		want  string
	}{
		"no certificate":  {func(c *TLSConfig) { c.Certificate = "/nonexistent.pem" }, "certificate /nonexistent.pem with key"},
		"no authority":    {func(c *TLSConfig) { c.ClientCA = "/nonexistent.pem" }, "client authority: open /nonexistent.pem"},
		"empty authority": {func(c *TLSConfig) { c.ClientCA = good.Key }, "has no certificate in PEM form"},
		"other's address": {func(c *TLSConfig) { c.Address = netip.MustParseAddrPort("[2001:db8::1]:1") }, "control API: listen tcp"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := good
			tt.spoil(&c)
			l, err := ListenTLS(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err == nil {
				l.Close()
			}
		})
	}
}

// TestRate: beyond the rate requests are refused, and told when to come back.
func TestRate(t *testing.T) {
	s := New(newFake(t, 1).router(), 3, quiet())
	for i := range 4 {
		r, err := http.NewRequest(http.MethodGet, api.PathHealth, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &recorder{header: http.Header{}}
		s.Handler().ServeHTTP(w, r)
		want := http.StatusOK
		if i == 3 {
			want = http.StatusTooManyRequests
		}
		if w.status != want || (w.header.Get("Retry-After") != "") != (i == 3) {
			t.Errorf("request %d: %d, headers %v", i, w.status, w.header)
		}
	}
}

func TestReadyAndResync(t *testing.T) {
	f := newFake(t, 1)
	c, _ := serve(t, f)
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
	f.troubled = []string{"no disk"}
	var e *api.Error
	if err := c.Ready(t.Context()); !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable || len(e.Details) != 1 {
		t.Errorf("Ready in trouble: %v", err)
	}
	if err := c.Resync(t.Context()); err != nil || f.resynced != 1 {
		t.Errorf("Resync: %v, %d times", err, f.resynced)
	}
	if err := c.ResetPCP(t.Context()); err != nil || f.reset != 1 {
		t.Errorf("ResetPCP: %v, %d times", err, f.reset)
	}
	f.err = provision.ErrStorage
	if err := c.ResetPCP(t.Context()); !errors.As(err, &e) || e.Code != api.CodeStorage {
		t.Errorf("ResetPCP without a disk: %v", err)
	}
}
