package topology

import (
	"errors"
	"strings"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/policer"
	"go.fd.io/govpp/binapi/policer_types"

	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
)

// PolicerMessages are what VPP must know to limit how many packets it hands
// over: the plugin policer has them.
func PolicerMessages() []api.Message {
	return []api.Message{&policer.PolicerAddDel{}, &policer.PolicerInput{}, &policer.PolicerDump{}}
}

// policed are the interfaces that lead to the control logic. Each has a policer
// of its own, named like its tag: a flood of one kind leaves the others alone.
func policed() []role {
	return []role{puzzles, expired, own, errors4, pcp, icmp6, tunnels, nobody, hairpinNobody}
}

// police limits what comes in by the interfaces that lead to the control logic.
// VPP has the policer before the classifier, which hands over.
func (t *Topology) police(v *vpp) {
	if t.config.ExceptionRate == 0 {
		return
	}
	for _, r := range policed() {
		v.addPolicer(t.config.tag(r), t.config.ExceptionRate)
		v.usePolicer(true, t.config.tag(r), t.loops[r])
	}
}

// addPolicer makes a policer that lets packets through, up to a rate per second.
func (v *vpp) addPolicer(name string, rate uint32) {
	const burst = 100 // milliseconds at that rate
	drop := policer_types.Sse2QosAction{Type: policer_types.SSE2_QOS_ACTION_API_DROP}
	v.do("policer "+name, func() error {
		_, err := v.policer.PolicerAddDel(v.ctx, &policer.PolicerAddDel{
			IsAdd: true, Name: name, Cir: rate, Cb: burst,
			RateType: policer_types.SSE2_QOS_RATE_API_PPS, Type: policer_types.SSE2_QOS_POLICER_TYPE_API_1R2C,
			ConformAction: policer_types.Sse2QosAction{Type: policer_types.SSE2_QOS_ACTION_API_TRANSMIT},
			ExceedAction:  drop, ViolateAction: drop,
		})
		return err
	})
}

// usePolicer begins or ends the use of a policer by an interface.
func (v *vpp) usePolicer(use bool, name string, index Index) {
	v.do("policer of interface "+name, func() error {
		_, err := v.policer.PolicerInput(v.ctx, &policer.PolicerInput{Apply: use, Name: name, SwIfIndex: index})
		return err
	})
}

// deletePolicer takes a policer away that nothing uses.
func (v *vpp) deletePolicer(name string) {
	v.do("deleting policer "+name, func() error {
		_, err := v.policer.PolicerAddDel(v.ctx, &policer.PolicerAddDel{Name: name})
		return err
	})
}

// policers are the names of those with our mark. A VPP that knows no policers
// has none.
func (v *vpp) policers(mark string) (names []string) {
	v.do("reading policers", func() error {
		dump, err := v.policer.PolicerDump(v.ctx, &policer.PolicerDump{})
		if unknown := new(vppapi.IncompatibleError); errors.As(err, &unknown) {
			return nil
		}
		return each(dump, err, func(d *policer.PolicerDetails) {
			if name := text(d.Name); strings.HasPrefix(name, mark) {
				names = append(names, name)
			}
		})
	})
	return names
}
