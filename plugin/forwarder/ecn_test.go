package forwarder

import "testing"

// TestDecapECN is RFC 6040 section 4.2, figure 4, cell by cell.
func TestDecapECN(t *testing.T) {
	const dropped = 0xff
	figure := map[uint8][4]uint8{ // inner: outer Not-ECT, ECT(0), ECT(1), CE
		ecnNotECT: {ecnNotECT, ecnNotECT, ecnNotECT, dropped},
		ecnECT0:   {ecnECT0, ecnECT0, ecnECT1, ecnCE},
		ecnECT1:   {ecnECT1, ecnECT1, ecnECT1, ecnCE},
		ecnCE:     {ecnCE, ecnCE, ecnCE, ecnCE},
	}
	const dscp = 46 << 2
	for inner, row := range figure {
		for i, outer := range []uint8{ecnNotECT, ecnECT0, ecnECT1, ecnCE} {
			// The outer DSCP is that of the operator's network and stays there.
			got, ok := decapECN(dscp|inner, 10<<2|outer)
			if !ok {
				got = dropped
			} else if got&^ecnMask != dscp {
				t.Errorf("inner %d outer %d: DSCP became %d", inner, outer, got>>2)
			} else {
				got &= ecnMask
			}
			if got != row[i] {
				t.Errorf("inner %d outer %d: got %d, want %d", inner, outer, got, row[i])
			}
		}
	}
}
