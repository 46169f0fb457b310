package stream

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRequests: what the package's documentation says, octet by octet, is written and
// read.
func TestRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		request request
		octets  string
	}{
		"least": {
			request{kind: offer, lease: lease.Request{}},
			`0019 00000007 01  00000000 00 00 00000000 00000000  0000 0000 0000`,
		},
		"most": {
			request{kind: acquire, wait: 500 * time.Millisecond, lease: lease.Request{
				Subscriber: netip.MustParseAddr("2001:db8:1::"), B4: netip.MustParseAddr("2001:db8:1::4"),
				Prefix: netip.MustParsePrefix("2001:db8:1::/56"), Mechanism: pool.DHCPv6, Number: 2, Pool: "a", Ports: 65536,
				Want:     softwire.Key{IPv4: netip.MustParseAddr("192.0.2.1"), PortSet: set(6, 8, 9)},
				Lifetime: time.Hour, Attributes: "\x01\x02xy",
			}},
			`005d 00000007 02  000001f4 0f 02 00000e10 00010000
			 20010db8000100000000000000000000  20010db8000100000000000000000004
			 20010db8000100000000000000000000 38  c0000201 06 08 0009
			 0006 646863707636  0001 61  0004 01027879`,
		},
		"an address is wished for": {
			request{kind: release, lease: lease.Request{Want: softwire.Key{IPv4: netip.MustParseAddr("192.0.2.1")}}},
			`0021 00000007 03  00000000 08 00 00000000 00000000  c0000201 00 00 0000  0000 0000 0000`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := unhex(t, tt.octets)
			if err := validate(tt.request.lease); err != nil {
				t.Fatal(err)
			}
			if got := appendRequest([]byte("before"), 7, tt.request); string(got) != "before"+string(want) {
				t.Errorf("written\n%x, want\n%x", got, want)
			}
			number, k, content, err := newReader(iotest.OneByteReader(bytes.NewReader(want))).next()
			if err != nil || number != 7 {
				t.Fatalf("number %d, %v", number, err)
			}
			if got, err := parseRequest(k, content); err != nil || got != tt.request {
				t.Errorf("read\n%+v, want\n%+v, %v", got, tt.request, err)
			}
		})
	}
}

// TestAnswers is the same for answers.
func TestAnswers(t *testing.T) {
	l := lease.Lease{
		Softwire: softwire.Softwire{
			IPv4: netip.MustParseAddr("192.0.2.1"), PortSet: set(6, 8, 9),
			B4: netip.MustParseAddr("2001:db8:1::4"), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		},
		Subscriber: netip.MustParsePrefix("2001:db8:1::/56"), Pool: "a", Mechanism: pool.PCP,
		Expires: time.Unix(0x12345678, 0).UTC(),
	}
	without := l
	without.Softwire.B4, without.Expires, without.Configured = netip.Addr{}, time.Time{}, true
	e := &api.Error{Status: 409, Code: api.CodeQuota, Message: "no"}
	for name, tt := range map[string]struct {
		written []byte
		octets  string
		lease   lease.Lease
		failed  *api.Error
	}{
		"lease": {appendLease(nil, 7, l), `004f 00000007 10  00 c0000201 06 08 0009
			20010db8000100000000000000000004 20010db8ffff00000000000000000001
			20010db8000100000000000000000000 38  0000000012345678  0003 706370  0001 61`, l, nil},
		"configured": {appendLease(nil, 7, without), `004f 00000007 10  01 c0000201 06 08 0009
			00000000000000000000000000000000 20010db8ffff00000000000000000001
			20010db8000100000000000000000000 38  0000000000000000  0003 706370  0001 61`, without, nil},
		"done":    {appendDone(nil, 7), `0005 00000007 11`, lease.Lease{}, nil},
		"failure": {appendFailure(nil, 7, e), `0012 00000007 12 0199 0005 71756f7461 0002 6e6f`, lease.Lease{}, e},
	} {
		t.Run(name, func(t *testing.T) {
			want := unhex(t, tt.octets)
			if !bytes.Equal(tt.written, want) {
				t.Errorf("written\n%x, want\n%x", tt.written, want)
			}
			number, k, content, err := newReader(bytes.NewReader(want)).next()
			if err != nil || number != 7 {
				t.Fatalf("number %d, %v", number, err)
			}
			got, failed, err := parseAnswer(k, content)
			if err != nil || got != tt.lease || (failed == nil) != (tt.failed == nil) {
				t.Fatalf("read\n%+v, %v, want\n%+v, %v", got, failed, tt.lease, err)
			}
			if failed != nil && (failed.Status != 409 || failed.Code != api.CodeQuota || failed.Message != "no") {
				t.Errorf("read %+v", failed)
			}
		})
	}
}

// TestMalformed: what is no message, or none that is meant for this end, is an error.
func TestMalformed(t *testing.T) {
	for name, octets := range map[string]string{
		"shorter than its head":  `0004 00000007`,
		"longer than allowed":    `1001` + strings.Repeat("00", 4097),
		"of no kind":             `0005 00000007 63`,
		"without content":        `0005 00000007 01`,
		"an answer":              `0005 00000007 11`,
		"more than there is":     `001a 00000007 01 00000000 00 00 00000000 00000000 0000 0000 0000 00`,
		"a text behind the end":  `0019 00000007 01 00000000 00 00 00000000 00000000 0000 0000 0001`,
		"an unknown flag":        `0019 00000007 01 00000000 10 00 00000000 00000000 0000 0000 0000`,
		"too many ports":         `0019 00000007 01 00000000 00 00 00000000 00010001 0000 0000 0000`,
		"a prefix of 129 bits":   `002a 00000007 01 00000000 04 00 00000000 00000000` + strings.Repeat("00", 16) + `81 0000 0000 0000`,
		"a PSID of another size": `0021 00000007 01 00000000 08 00 00000000 00000000 c0000201 00 04 0010 0000 0000 0000`,
		"attributes cut short":   `001b 00000007 01 00000000 00 00 00000000 00000000 0000 0000 0002 0105`,
	} {
		t.Run(name, func(t *testing.T) {
			_, k, content, err := newReader(bytes.NewReader(unhex(t, octets))).next()
			if err == nil {
				_, err = parseRequest(k, content)
			}
			if !errors.Is(err, errMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, octets := range map[string]string{
		"a request":              `0019 00000007 01 00000000 00 00 00000000 00000000 0000 0000 0000`,
		"a lease without half":   `0008 00000007 10 00c000`,
		"done, and more":         `0006 00000007 11 00`,
		"a time beyond all time": `004f 00000007 10 00 c0000201 06 08 0009` + strings.Repeat("00", 49) + `ffffffffffffffff 0003 706370 0001 61`,
	} {
		t.Run(name, func(t *testing.T) {
			_, k, content, err := newReader(bytes.NewReader(unhex(t, octets))).next()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := parseAnswer(k, content); !errors.Is(err, errMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, cut := range []string{"00", "0005", "0005 00000007"} {
		if _, _, _, err := newReader(bytes.NewReader(unhex(t, cut))).next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s and the end: %v", cut, err)
		}
	}
}

// TestNotToBeAsked: what has no place in a message is said before one is sent.
func TestNotToBeAsked(t *testing.T) {
	c := NewClient(nil)
	for name, q := range map[string]lease.Request{
		"a long pool":    {Pool: strings.Repeat("x", maxMessage)},
		"many ports":     {Ports: 65537},
		"an IPv4 lwB4":   {B4: netip.MustParseAddr("192.0.2.1")},
		"a zone":         {Subscriber: netip.MustParseAddr("fe80::1%eth0")},
		"an IPv4 prefix": {Prefix: netip.MustParsePrefix("192.0.2.0/24")},
	} {
		if _, err := c.Acquire(t.Context(), q); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := strings.Repeat("x", 1<<17)
	b := appendFailure(nil, 7, &api.Error{Code: api.Code(long), Message: long})
	_, k, content, err := newReader(bytes.NewReader(b)).next()
	if err != nil {
		t.Fatal(err)
	}
	if _, failed, err := parseAnswer(k, content); err != nil || failed.Message != long[:maxText] {
		t.Errorf("a long text: %v", err)
	}
}

func BenchmarkMessages(b *testing.B) {
	q := request{kind: acquire, wait: time.Second, lease: of(1)}
	q.lease.Attributes = "\x01\x10\x00\x01\x00\x01............"
	l, err := newRouter().Acquire(b.Context(), q.lease)
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = appendRequest(buf[:0], 7, q)
			if _, err := parseRequest(acquire, buf[lengthSize+headSize:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lease", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = appendLease(buf[:0], 7, l)
			if _, _, err := parseAnswer(granted, buf[lengthSize+headSize:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
