package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// TLSConfig is where the API listens on TCP. Whoever has a certificate of the
// client authority may do what root may do on the socket.
type TLSConfig struct {
	// Address is an IP address and a port.
	Address netip.AddrPort `yaml:"address" config:"required"`
	// Certificate, Key and ClientCA are paths of PEM files. They are read again
	// for each connection, so that they can be renewed.
	Certificate string `yaml:"certificate" config:"required"`
	Key         string `yaml:"key" config:"required"`
	ClientCA    string `yaml:"client-ca" config:"required"`
}

// Validate reports what is wrong with c, with elements. The files are not read.
func (c TLSConfig) Validate() error {
	var errs []error
	if !c.Address.IsValid() || c.Address.Port() == 0 {
		errs = append(errs, element.Errorf("address", "%s is not an IP address and a port, such as [::1]:4646", c.Address))
	}
	for _, file := range []struct{ name, path string }{
		{"certificate", c.Certificate}, {"client-ca", c.ClientCA}, {"key", c.Key},
	} {
		if file.path == "" {
			errs = append(errs, element.Errorf(file.name, "is empty; name a PEM file"))
		}
	}
	return errors.Join(errs...)
}

// ListenTLS listens on TCP for clients with certificates. The error names the
// file that cannot be used, or the address.
func ListenTLS(ctx context.Context, c TLSConfig) (net.Listener, error) {
	// What is wrong with the files now should not wait for the first client.
	if _, err := c.load(); err != nil {
		return nil, fmt.Errorf("control API on %s: %w", c.Address, err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.Address.String())
	if err != nil {
		return nil, fmt.Errorf("control API: %w", err)
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.load() },
	}), nil
}

// load reads the files.
func (c TLSConfig) load() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.Certificate, c.Key, err)
	}
	text, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("client authority: %w", err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("client authority %s: has no certificate in PEM form", c.ClientCA)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
	}, nil
}
