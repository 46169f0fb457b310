package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"go.fd.io/govpp/adapter/socketclient"
	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/ip_types"
	maps "go.fd.io/govpp/binapi/map"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/core"

	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// inFlight is how many requests a plainLoader has sent before it waits.
const inFlight = 1024

// plainLoader gives softwires to VPP as one does it with govpp and nothing else:
// a message for each domain and each rule.
type plainLoader struct {
	stream api.Stream
	cancel context.CancelFunc // ends the stream
}

// loadPlainly starts a VPP and calls use with a loader for it.
func loadPlainly(ctx context.Context, c vpptest.Config, use func(*plainLoader) error) (err error) {
	var scope vpptest.Scope
	defer func() { err = errors.Join(err, scope.Close()) }()
	var v *vpptest.VPP
	if err := scope.Do(func() { v = vpptest.Start(&scope, c) }); err != nil {
		return err
	}
	client := socketclient.NewVppClient(v.API)
	client.SetConnectTimeout(patience)
	conn, err := core.Connect(client)
	if err != nil {
		return err
	}
	defer conn.Disconnect()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := conn.NewStream(ctx, core.WithRequestSize(inFlight), core.WithReplySize(inFlight))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	// What decodes an answer has to know a request that was sent before it.
	if err := stream.SendMsg(&memclnt.ControlPing{}); err != nil {
		return err
	}
	if _, err := stream.RecvMsg(); err != nil {
		return err
	}
	return use(&plainLoader{stream, cancel})
}

// load gives VPP all softwires, which are sorted by address.
func (p *plainLoader) load(all []softwire.Softwire) error {
	var first []softwire.Softwire // of each address
	for _, s := range all {
		if len(first) == 0 || first[len(first)-1].IPv4 != s.IPv4 {
			first = append(first, s)
		}
	}
	indexes := make(map[netip.Addr]uint32, len(first))
	err := p.pipeline(len(first), func(i int) api.Message { return plainDomain(first[i]) }, func(i int, m api.Message) error {
		reply, ok := m.(*maps.MapAddDomainReply)
		if !ok {
			return fmt.Errorf("VPP answers %s", m.GetMessageName())
		}
		indexes[first[i].IPv4] = reply.Index
		return api.RetvalToVPPApiError(reply.Retval)
	})
	if err != nil {
		return err
	}
	return p.pipeline(len(all), func(i int) api.Message { return plainRule(indexes, all[i]) }, func(_ int, m api.Message) error {
		reply, ok := m.(*maps.MapAddDelRuleReply)
		if !ok {
			return fmt.Errorf("VPP answers %s", m.GetMessageName())
		}
		return api.RetvalToVPPApiError(reply.Retval)
	})
}

func plainDomain(s softwire.Softwire) *maps.MapAddDomain {
	const whole4, whole6, tunnelMTU = 32, 128, 1500
	return &maps.MapAddDomain{
		IP4Prefix:  ip_types.IP4Prefix{Address: s.IPv4.As4(), Len: whole4},
		IP6Prefix:  ip_types.IP6Prefix{Len: whole6},
		IP6Src:     ip_types.IP6Prefix{Address: s.BR.As16(), Len: whole6},
		PsidLength: s.PortSet.Params().Length(), Mtu: tunnelMTU,
	}
}

func plainRule(indexes map[netip.Addr]uint32, s softwire.Softwire) *maps.MapAddDelRule {
	return &maps.MapAddDelRule{Index: indexes[s.IPv4], IsAdd: true, Psid: s.PortSet.PSID(), IP6Dst: s.B4.As16()}
}

// pipeline sends n requests and takes their answers, which come in order, with
// at most inFlight of them under way.
func (p *plainLoader) pipeline(n int, request func(int) api.Message, answer func(int, api.Message) error) error {
	underWay := make(chan struct{}, inFlight)
	sent := make(chan error, 1)
	go func() {
		defer close(sent)
		for i := range n {
			select {
			case underWay <- struct{}{}:
			case <-p.stream.Context().Done():
				return
			}
			if err := p.stream.SendMsg(request(i)); err != nil {
				p.cancel() // nobody will answer
				sent <- err
				return
			}
		}
	}()
	var err error
	for i := 0; i < n && err == nil; i++ {
		var m api.Message
		if m, err = p.stream.RecvMsg(); err == nil {
			err = answer(i, m)
			<-underWay
		}
	}
	if err != nil {
		p.cancel()
	}
	return errors.Join(err, <-sent)
}
