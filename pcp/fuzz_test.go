package pcp

import (
	"slices"
	"testing"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// FuzzAnswer: whatever is asked by a lwB4 that has a port set, by one that has none
// and by a third party, the answer is a response that is no longer than the request,
// but for the least length; and an error changes nothing.
func FuzzAnswer(f *testing.F) {
	fromWhom := []Origin{plain, softwire, third, {LwB4: testOther, Source: testOther}}
	for i, from := range fromWhom {
		for _, lifetime := range []uint32{0, 3600} {
			r := softwireMap(from, lifetime)
			f.Add(uint8(i), r.Append(nil))
			r.Options = pcpmsg.ThirdParty(testLwB4).Append(pcpmsg.Description("x").Append(r.Options))
			f.Add(uint8(i), r.Append(nil))
			r.Mapping.InternalPort, r.Options = 0, nil
			f.Add(uint8(i), r.Append(nil))
		}
	}
	f.Add(uint8(0), []byte{0, 0})
	f.Fuzz(func(t *testing.T, whom uint8, payload []byte) {
		// Without limits a server takes little memory.
		s := newScene(t, func(c *Config, _ *fakeGrants) { c.SourceRate, c.PrefixRate = 0, 0 })
		s.granted(plain, softwireMap(plain, 3600))
		before := slices.Clone(s.grants.bindings)
		for _, b := range s.server.Answer(t.Context(), fromWhom[int(whom)%len(fromWhom)], payload) {
			if len(b) > max(len(payload)+3, pcpmsg.HeaderLength) || len(b) > pcpmsg.MaxLength || len(b)%4 != 0 || b[0] != pcpmsg.Version || b[1]&0x80 == 0 {
				t.Fatalf("%x is answered %x", payload, b)
			}
			if b[3] != 0 && !slices.Equal(before, s.grants.bindings) {
				t.Fatalf("%x is answered %x, and changed something", payload, b)
			}
		}
	})
}
