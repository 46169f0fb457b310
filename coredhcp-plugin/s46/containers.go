package s46

import (
	"fmt"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// The containers, and what each must and may hold (RFC 7598 sections 5 and 6).
// Anything else inside makes one invalid, as section 8 asks of clients.
type (
	// LW is OPTION_S46_CONT_LW (96), for Lightweight 4over6: at least one BR, and
	// at most one V4V6Bind.
	LW struct {
		BRs  []BR
		Bind *V4V6Bind // nil if there is none
	}
	// MAPE is OPTION_S46_CONT_MAPE (94): at least one Rule and one BR.
	MAPE struct {
		Rules []Rule
		BRs   []BR
	}
	// MAPT is OPTION_S46_CONT_MAPT (95): at least one Rule, and one DMR.
	MAPT struct {
		Rules []Rule
		DMR   DMR
	}
)

var (
	_ Option = (*LW)(nil)
	_ Option = (*MAPE)(nil)
	_ Option = (*MAPT)(nil)
)

// Code is 96.
func (o *LW) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46ContLW }

// Validate implements Option.
func (o *LW) Validate() error {
	if err := checkCount("BR", len(o.BRs), 1); err != nil {
		return err
	}
	return validateAll(o.inside())
}

// ToBytes implements dhcpv6.Option.
func (o *LW) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	return o.inside().ToBytes()
}

// FromBytes implements dhcpv6.Option.
func (o *LW) FromBytes(b []byte) error {
	var lw LW
	var binds []V4V6Bind
	err := readNested(b, func(code dhcpv6.OptionCode, data []byte) error {
		switch code {
		case dhcpv6.OptionS46BR:
			return readInto(&lw.BRs, data)
		case dhcpv6.OptionS46V4V6Bind:
			return readInto(&binds, data)
		}
		return ErrCode
	})
	switch {
	case err != nil:
		return err
	case len(binds) > 1:
		return fmt.Errorf("%d of V4V6BIND, must be 0 or 1: %w", len(binds), ErrCount)
	case len(binds) == 1:
		lw.Bind = &binds[0]
	}
	if err := lw.Validate(); err != nil {
		return err
	}
	*o = lw
	return nil
}

// String is the name of the container and what is inside.
func (o *LW) String() string { return describe(o.Code(), o.inside()) }

func (o *LW) inside() dhcpv6.Options {
	all := appendAll(nil, o.BRs)
	if o.Bind != nil {
		all.Add(o.Bind)
	}
	return all
}

// Code is 94.
func (o *MAPE) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46ContMapE }

// Validate implements Option.
func (o *MAPE) Validate() error {
	if err := checkCount("RULE", len(o.Rules), 1); err != nil {
		return err
	}
	if err := checkCount("BR", len(o.BRs), 1); err != nil {
		return err
	}
	return validateAll(o.inside())
}

// ToBytes implements dhcpv6.Option.
func (o *MAPE) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	return o.inside().ToBytes()
}

// FromBytes implements dhcpv6.Option.
func (o *MAPE) FromBytes(b []byte) error {
	var mapE MAPE
	err := readNested(b, func(code dhcpv6.OptionCode, data []byte) error {
		switch code {
		case dhcpv6.OptionS46Rule:
			return readInto(&mapE.Rules, data)
		case dhcpv6.OptionS46BR:
			return readInto(&mapE.BRs, data)
		}
		return ErrCode
	})
	if err != nil {
		return err
	}
	if err := mapE.Validate(); err != nil {
		return err
	}
	*o = mapE
	return nil
}

// String is the name of the container and what is inside.
func (o *MAPE) String() string { return describe(o.Code(), o.inside()) }

func (o *MAPE) inside() dhcpv6.Options { return appendAll(appendAll(nil, o.Rules), o.BRs) }

// Code is 95.
func (o *MAPT) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46ContMapT }

// Validate implements Option.
func (o *MAPT) Validate() error {
	if err := checkCount("RULE", len(o.Rules), 1); err != nil {
		return err
	}
	return validateAll(o.inside())
}

// ToBytes implements dhcpv6.Option.
func (o *MAPT) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	return o.inside().ToBytes()
}

// FromBytes implements dhcpv6.Option.
func (o *MAPT) FromBytes(b []byte) error {
	var mapT MAPT
	var dmrs []DMR
	err := readNested(b, func(code dhcpv6.OptionCode, data []byte) error {
		switch code {
		case dhcpv6.OptionS46Rule:
			return readInto(&mapT.Rules, data)
		case dhcpv6.OptionS46DMR:
			return readInto(&dmrs, data)
		}
		return ErrCode
	})
	if err != nil {
		return err
	}
	if len(dmrs) != 1 {
		return fmt.Errorf("%d of DMR, must be 1: %w", len(dmrs), ErrCount)
	}
	mapT.DMR = dmrs[0]
	if err := mapT.Validate(); err != nil {
		return err
	}
	*o = mapT
	return nil
}

// String is the name of the container and what is inside.
func (o *MAPT) String() string { return describe(o.Code(), o.inside()) }

func (o *MAPT) inside() dhcpv6.Options { return append(appendAll(nil, o.Rules), &o.DMR) }
