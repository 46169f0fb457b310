// Package memory owns what a CPE knows over restarts: a small file.
//
// It has the nonces by which lwAFTRs know the CPE's mappings. A CPE that forgot them
// may be refused until the mappings expire (RFC 6887 section 11.3).
package memory

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Memory is the file while the CPE runs. Its methods may be called by several
// goroutines.
type Memory struct {
	path string
	mu   sync.Mutex
	content
}

// content is what the file has.
type content struct {
	Nonces map[netip.Addr]secret `json:"pcp-nonces,omitempty"` // by BR address
}

// secret is octets, in hexadecimal in the file.
type secret []byte

// MarshalText implements encoding.TextMarshaler.
func (s secret) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *secret) UnmarshalText(text []byte) (err error) {
	*s, err = hex.AppendDecode(nil, text)
	return err
}

// maxSize bounds the file in octets.
const maxSize = 1 << 16

// Open reads the file. Without a path nothing is remembered. What is not a file of
// this package is an error: it may be somebody else's.
func Open(path string) (*Memory, error) {
	m := &Memory{path: path}
	if path == "" {
		return m, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, m.save() // so that what cannot be written is known now
	}
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("state %s: has more than %d octets: it is not a file of lwb4", path, maxSize)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := json.Unmarshal(b, &m.content); err != nil {
		return nil, fmt.Errorf("state %s: is damaged or not a file of lwb4; without it the CPE begins anew: %w", path, err)
	}
	return m, nil
}

// Nonce is that of the mappings at an lwAFTR, always the same one.
func (m *Memory) Nonce(br netip.Addr) (pcpmsg.Nonce, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var n pcpmsg.Nonce
	if known := m.Nonces[br]; len(known) == len(n) {
		return pcpmsg.Nonce(known), nil
	}
	n = client.NewNonce()
	if m.Nonces == nil {
		m.Nonces = map[netip.Addr]secret{}
	}
	m.Nonces[br] = n[:]
	return n, m.save()
}

// save replaces the file: after a crash it has the old content or the new.
func (m *Memory) save() error {
	if m.path == "" {
		return nil
	}
	b, err := json.MarshalIndent(m.content, "", "  ")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o755); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	next := m.path + "." + rand.Text()
	if err := write(next, append(b, '\n')); err != nil {
		return errors.Join(fmt.Errorf("state: %w", err), os.Remove(next))
	}
	if err := os.Rename(next, m.path); err != nil {
		return errors.Join(fmt.Errorf("state: %w", err), os.Remove(next))
	}
	return nil
}

// write writes a file that only its owner reads, and waits for the disk.
func write(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
