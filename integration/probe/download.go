package probe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// digestTrailer names the sum that a FileServer sends behind a file, in hex.
const digestTrailer = "X-Sha256"

// MaxFile is the largest file in bytes that a FileServer sends.
const MaxFile = 1 << 33

// FileServer serves files of random bytes over HTTP: the path of a request is
// the size in bytes. A file ends with the SHA-256 sum of what was sent, and
// uploads are answered with the sum of what was received.
type FileServer struct {
	Listener net.Listener
}

// Run serves until ctx ends, and then returns nil.
func (s FileServer) Run(ctx context.Context) error {
	server := &http.Server{Handler: http.HandlerFunc(serveFile), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // the error is that of the listener
	defer stop()
	if err := server.Serve(s.Listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("file server: %w", err)
	}
	return nil
}

func serveFile(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		sum := sha256.New()
		if _, err := io.Copy(sum, io.LimitReader(r.Body, MaxFile)); err == nil {
			fmt.Fprintf(w, "%x", sum.Sum(nil))
		}
		return
	}
	size, err := strconv.ParseInt(r.URL.Path[1:], 10, 64)
	if err != nil || size < 0 || size > MaxFile {
		http.Error(w, "the path is a size in bytes", http.StatusNotFound)
		return
	}
	w.Header().Set("Trailer", digestTrailer)
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w, sum), randomBytes(), size); err != nil {
		return // the client is gone
	}
	w.Header().Set(digestTrailer, hex.EncodeToString(sum.Sum(nil)))
}

// randomBytes is endless, and different each time.
func randomBytes() io.Reader {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	return rand.NewChaCha8(seed)
}

// Transfer is a file that arrived as it was sent.
type Transfer struct {
	Bytes int64
	Sum   string // SHA-256 in hex, the same on both ends
	Took  time.Duration
}

// String is "104857600 bytes, sha256 3fd0…, 812 Mbit/s".
func (t Transfer) String() string {
	rate := float64(t.Bytes) * 8 / 1e6 / t.Took.Seconds()
	return fmt.Sprintf("%d bytes, sha256 %.8s…, %.0f Mbit/s", t.Bytes, t.Sum, rate)
}

// ErrSum reports a file that arrived otherwise than it was sent.
var ErrSum = errors.New("the SHA-256 sums differ")

// Download fetches a file of size bytes from a FileServer. The error wraps
// ErrSum if it is not what was sent.
func Download(ctx context.Context, n Node, server string, size int64) (Transfer, error) {
	begin := time.Now()
	response, err := request(ctx, n, http.MethodGet, fmt.Sprintf("http://%s/%d", server, size), nil)
	if err != nil {
		return Transfer{}, fmt.Errorf("download: %w", err)
	}
	defer response.Body.Close()
	sum := sha256.New()
	got, err := io.Copy(sum, response.Body)
	if err != nil {
		return Transfer{}, fmt.Errorf("download: after %d of %d bytes: %w", got, size, err)
	}
	t := Transfer{Bytes: got, Sum: hex.EncodeToString(sum.Sum(nil)), Took: time.Since(begin)}
	if sent := response.Trailer.Get(digestTrailer); got != size || sent != t.Sum {
		return t, fmt.Errorf("download: %w: %d bytes with %s arrived, %d with %s were sent", ErrSum, got, t.Sum, size, sent)
	}
	return t, nil
}

// Upload sends size random bytes to a FileServer. The error wraps ErrSum if not
// they are what arrives.
func Upload(ctx context.Context, n Node, server string, size int64) (Transfer, error) {
	begin := time.Now()
	sum := sha256.New()
	body := io.TeeReader(io.LimitReader(randomBytes(), size), sum)
	response, err := request(ctx, n, http.MethodPut, fmt.Sprintf("http://%s/", server), body)
	if err != nil {
		return Transfer{}, fmt.Errorf("upload: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1000))
	if err != nil {
		return Transfer{}, fmt.Errorf("upload: %w", err)
	}
	t := Transfer{Bytes: size, Sum: hex.EncodeToString(sum.Sum(nil)), Took: time.Since(begin)}
	if string(answer) != t.Sum {
		return t, fmt.Errorf("upload: %w: %s arrived, %s was sent", ErrSum, answer, t.Sum)
	}
	return t, nil
}

// request makes an HTTP request on a connection of its own.
func request(ctx context.Context, n Node, method, url string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	// The transport would go on dialling after ctx has ended.
	conn, err := Dial(ctx, n, "tcp4", r.URL.Host)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	response, err := client.Do(r)
	if err != nil {
		_ = conn.Close() // as the transport did, if it got that far
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close() // nothing of it is wanted
		return nil, fmt.Errorf("%s %s: %s", method, url, response.Status)
	}
	return response, nil
}
