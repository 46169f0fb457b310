package topology

import (
	"errors"
	"fmt"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/classify"
)

// table is a table of VPP's classifier: what is the same in all its sessions,
// and where packets go that match none.
type table struct {
	shape   fields // only their masks count
	next    uint32 // the table to try after it, or none
	miss    uint32 // if there is none
	buckets uint32
	memory  uint32 // in octets, used as sessions need it
}

// Sizes of tables: of a few sessions, and of one for each of many addresses.
const (
	smallMemory  = 4 << 20
	largeMemory  = 512 << 20
	smallBuckets = 64
	largeBuckets = 1 << 16
)

// addTable makes t and returns its index.
func (v *vpp) addTable(name string, t table) (index uint32) {
	v.do("classifier table "+name, func() error {
		skip, count := t.shape.span()
		if count > maxVectors {
			return fmt.Errorf("%d vectors of 16 bytes, VPP compares %d", count, maxVectors)
		}
		buckets, memory := t.buckets, t.memory
		if buckets == 0 {
			buckets = smallBuckets
		}
		if memory == 0 {
			memory = smallMemory
		}
		const fromCurrentData = 1 // and not from the start of the buffer
		reply, err := v.classify.ClassifyAddDelTable(v.ctx, &classify.ClassifyAddDelTable{
			IsAdd: true, TableIndex: none, Nbuckets: buckets, MemorySize: memory,
			SkipNVectors: uint32(skip), MatchNVectors: uint32(count), Mask: t.shape.mask(),
			NextTableIndex: t.next, MissNextIndex: t.miss, CurrentDataFlag: fromCurrentData,
		})
		if err == nil {
			index = reply.NewTableIndex
		}
		return err
	})
	return index
}

// chain makes next the table to try after index.
func (v *vpp) chain(index, next uint32) {
	v.do("chaining classifier tables", func() error {
		_, err := v.classify.ClassifyAddDelTable(v.ctx, &classify.ClassifyAddDelTable{
			IsAdd: true, TableIndex: index, NextTableIndex: next, MissNextIndex: none,
			Nbuckets: smallBuckets, MemorySize: smallMemory, MatchNVectors: 1, Mask: make([]byte, vector),
		})
		return err
	})
}

// deleteTableIndex takes a classifier table away.
func (v *vpp) deleteTableIndex(index uint32) {
	v.do("deleting a classifier table", func() error {
		_, err := v.classify.ClassifyAddDelTable(v.ctx, &classify.ClassifyAddDelTable{
			TableIndex: index, NextTableIndex: none, MissNextIndex: none, MatchNVectors: 1, Mask: make([]byte, vector),
		})
		return err
	})
}

// addSessions adds sessions to a table.
func (v *vpp) addSessions(index uint32, sessions []session) {
	all := make([]*classify.ClassifyAddDelSession, len(sessions))
	for i, s := range sessions {
		all[i] = s.message(index)
	}
	v.changeSessions(all)
}

// sessions are the keys of a table's sessions: what VPP compares, without the
// vectors that the table skips.
func (v *vpp) sessions(index uint32) (keys [][]byte) {
	v.do("reading classifier sessions", func() error {
		dump, err := v.classify.ClassifySessionDump(v.ctx, &classify.ClassifySessionDump{TableID: index})
		return each(dump, err, func(d *classify.ClassifySessionDetails) {
			keys = append(keys, d.Match)
		})
	})
	return keys
}

// deleteSessions deletes the sessions of keys.
func (v *vpp) deleteSessions(index uint32, keys [][]byte) {
	if len(keys) == 0 {
		return
	}
	var skip int
	v.do("reading a classifier table", func() error {
		info, err := v.classify.ClassifyTableInfo(v.ctx, &classify.ClassifyTableInfo{TableID: index})
		if err == nil {
			skip = int(info.SkipNVectors)
		}
		return err
	})
	all := make([]*classify.ClassifyAddDelSession, len(keys))
	for i, key := range keys {
		all[i] = &classify.ClassifyAddDelSession{
			TableIndex: index, HitNextIndex: none, OpaqueIndex: none, Match: append(make([]byte, skip*vector), key...),
		}
	}
	v.changeSessions(all)
}

// pipelined is how many changes are sent before the first answer is awaited.
const pipelined = 256

// changeSessions adds and deletes sessions.
func (v *vpp) changeSessions(all []*classify.ClassifyAddDelSession) {
	v.do("classifier sessions", func() error {
		stream, err := v.conn.NewStream(v.ctx)
		if err != nil {
			return err
		}
		defer stream.Close()
		answered := 0
		for i, m := range all {
			if err := stream.SendMsg(m); err != nil {
				return err
			}
			for ; i-answered >= pipelined; answered++ {
				if err := sessionChanged(stream); err != nil {
					return err
				}
			}
		}
		for ; answered < len(all); answered++ {
			if err := sessionChanged(stream); err != nil {
				return err
			}
		}
		return nil
	})
}

func sessionChanged(stream api.Stream) error {
	m, err := stream.RecvMsg()
	if err != nil {
		return err
	}
	reply, ok := m.(*classify.ClassifyAddDelSessionReply)
	if !ok {
		return fmt.Errorf("VPP answers a session with %s", m.GetMessageName())
	}
	return api.RetvalToVPPApiError(reply.Retval)
}

func (s session) message(index uint32) *classify.ClassifyAddDelSession {
	return &classify.ClassifyAddDelSession{
		IsAdd: true, TableIndex: index, HitNextIndex: s.next, OpaqueIndex: none,
		Advance: s.advance, Action: classify.ClassifyAction(s.action), Metadata: s.table, Match: s.fields.match(),
	}
}

// apply makes an interface use a table for packets of one address family.
func (v *vpp) apply(index Index, ip6 bool, head uint32) {
	m := &classify.InputACLSetInterface{IsAdd: true, SwIfIndex: index, IP4TableIndex: head, IP6TableIndex: none, L2TableIndex: none}
	if ip6 {
		m.IP4TableIndex, m.IP6TableIndex = none, head
	}
	v.do("applying the classifier", func() error {
		_, err := v.classify.InputACLSetInterface(v.ctx, m)
		return err
	})
}

// unapply ends the use of a table by an interface.
func (v *vpp) unapply(index Index, ip6 bool, head uint32) {
	m := &classify.InputACLSetInterface{SwIfIndex: index, IP4TableIndex: head, IP6TableIndex: none, L2TableIndex: none}
	if ip6 {
		m.IP4TableIndex, m.IP6TableIndex = none, head
	}
	v.do("taking the classifier off", func() error {
		_, err := v.classify.InputACLSetInterface(v.ctx, m)
		if errors.Is(err, api.NO_MATCHING_INTERFACE) {
			return nil
		}
		return err
	})
}

// applied returns the first table that an interface uses for each family, or
// none.
func (v *vpp) applied(index Index) (head4, head6 uint32) {
	head4, head6 = none, none
	v.do("reading the classifier of an interface", func() error {
		reply, err := v.classify.ClassifyTableByInterface(v.ctx, &classify.ClassifyTableByInterface{SwIfIndex: index})
		if err == nil {
			head4, head6 = reply.IP4TableID, reply.IP6TableID
		}
		return err
	})
	return head4, head6
}

// following returns the tables from head on, in the order they are tried.
func (v *vpp) following(head uint32) (all []found) {
	const most = 64 // no chain of ours is as long
	for index := head; index != none && len(all) < most && v.err == nil; {
		v.do("reading a classifier table", func() error {
			reply, err := v.classify.ClassifyTableInfo(v.ctx, &classify.ClassifyTableInfo{TableID: index})
			if err == nil {
				all = append(all, found{index, int(reply.SkipNVectors), string(reply.Mask)})
				index = reply.NextTableIndex
			}
			return err
		})
	}
	return all
}

// found is a table as VPP shows it.
type found struct {
	index uint32
	skip  int
	mask  string
}

// is reports whether f is a table of a shape.
func (f found) is(shape fields) bool {
	skip, _ := shape.span()
	return f.skip == skip && f.mask == string(shape.mask())
}
