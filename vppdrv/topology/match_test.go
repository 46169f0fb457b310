package topology

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
)

func TestFields(t *testing.T) {
	for name, test := range map[string]struct {
		fields      fields
		skip        int
		mask, match string
	}{
		"one byte": {fields{byteAt(8, 1)}, 0, "00000000 00000000 ff000000 00000000", "00000000 00000000 01000000 00000000"},
		"some bits": {
			fields{wordAt(2, 0xffe0, 0x1234), maskedAt(15, 0xf0, 0x6f)}, 0,
			"0000ffe0 00000000 00000000 000000f0", "00001220 00000000 00000000 00000060",
		},
		"second vector": {fields{byteAt(20, 8)}, 1, "00000000 ff000000 00000000 00000000", "00000000000000000000000000000000 00000000 08000000 00000000 00000000"},
		"prefix": {
			fields{prefixAt(innerSource, netip.MustParsePrefix("192.0.0.7/29"))}, 3,
			"00000000 fffffff8 00000000 00000000",
			"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 00000000 c0000000 00000000 00000000",
		},
		"address over two vectors": {
			fields{addrAt(ip6Source, netip.MustParseAddr("2001:db8::1"))}, 0,
			"0000000000000000ffffffffffffffff ffffffffffffffff0000000000000000",
			"000000000000000020010db800000000 00000000000000010000000000000000",
		},
	} {
		skip, count := test.fields.span()
		mask, match := unhex(t, test.mask), unhex(t, test.match)
		if skip != test.skip || count*vector != len(mask) {
			t.Errorf("%s: span %d, %d", name, skip, count)
		}
		if got := test.fields.mask(); !bytes.Equal(got, mask) {
			t.Errorf("%s: mask %x, want %x", name, got, mask)
		}
		if got := test.fields.match(); !bytes.Equal(got, match) {
			t.Errorf("%s: match %x, want %x", name, got, match)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
