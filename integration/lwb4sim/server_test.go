package lwb4sim

import (
	"net/netip"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// script is a server that does what a test needs and no more: it gives each lwB4
// the next block of ports.
type script struct {
	mu      sync.Mutex
	blocks  map[netip.Addr]int
	next    int
	epoch   time.Time
	down    bool // nothing is answered
	shared  bool // every lwB4 gets the same block
	refuse  pcpmsg.ResultCode
	seen    int // requests
	changed int // requests that changed something
}

const blockSize = 1024

func newScript() *script { return &script{blocks: make(map[netip.Addr]int), epoch: time.Now()} }

// answer answers the request of a lwB4, or returns nil.
func (s *script) answer(lwb4 netip.Addr, source netip.Addr, payload []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := pcpmsg.ParseRequest(payload)
	if err != nil || s.down || r.Client != source {
		return nil
	}
	s.seen++
	epoch := uint32(time.Since(s.epoch) / time.Second)
	if s.refuse != pcpmsg.Success {
		return pcpmsg.AppendError(nil, payload, s.refuse, 30, epoch)
	}
	response := pcpmsg.Response{Opcode: pcpmsg.Map, Lifetime: r.Lifetime, Epoch: epoch, Body: pcpmsg.Body{Mapping: r.Mapping}}
	if r.Lifetime == 0 {
		if _, ok := s.blocks[lwb4]; ok {
			s.changed++
			delete(s.blocks, lwb4)
		}
		return response.Append(nil)
	}
	block, ok := s.blocks[lwb4]
	if !ok {
		s.changed++
		block = s.next
		if !s.shared {
			s.next++
		}
		s.blocks[lwb4] = block
	}
	first := uint16(block%63*blockSize + blockSize)
	response.Mapping.External = netip.AddrFrom4([4]byte{192, 0, byte(2 + block/63/256), byte(block / 63 % 256)})
	response.Mapping.ExternalPort = first
	response.Options = pcpmsg.PortSet{Size: blockSize, FirstInternal: first}.Append(nil)
	return response.Append(nil)
}

// lose has the server lose its state, as at a restart without a disk.
func (s *script) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks, s.epoch = make(map[netip.Addr]int), time.Now()
}

func (s *script) set(edit func(*script)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(s)
}

func (s *script) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.blocks)
}

// reply answers a datagram.
func (s *script) reply(d *datagram.Datagram) []byte {
	lwb4 := d.OuterFrom
	if !lwb4.IsValid() {
		lwb4 = d.From.Addr()
	}
	return s.answer(lwb4, d.From.Addr(), d.Payload)
}
