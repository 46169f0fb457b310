package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// setScalar reads n's text into v by v's type.
func setScalar(n *node, v reflect.Value) error {
	switch {
	case v.Type() == durationType:
		return setDuration(n.text, v)
	case v.Kind() == reflect.String:
		v.SetString(n.text)
		return nil
	case v.Kind() == reflect.Bool:
		return setBool(n.text, v)
	case v.CanInt():
		low, high := int64(math.MinInt64)>>(64-v.Type().Bits()), int64(math.MaxInt64)>>(64-v.Type().Bits())
		i, err := strconv.ParseInt(n.text, 10, v.Type().Bits())
		if err != nil || !decimal(n.text) {
			return fmt.Errorf("%s is not a whole decimal number from %d to %d", show(n.text), low, high)
		}
		v.SetInt(i)
		return nil
	case v.CanUint():
		high := uint64(math.MaxUint64) >> (64 - v.Type().Bits())
		u, err := strconv.ParseUint(n.text, 10, v.Type().Bits())
		if err != nil || !decimal(n.text) {
			return fmt.Errorf("%s is not a whole decimal number from 0 to %d", show(n.text), high)
		}
		v.SetUint(u)
		return nil
	}
	return fmt.Errorf("cannot be set from a file: %s has no text form", v.Type())
}

// decimal refuses what other readers of YAML take for another base: a leading
// zero is octal to some of them.
func decimal(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits == "0" || !strings.HasPrefix(digits, "0") && !strings.HasPrefix(digits, "+")
}

// setBool reads true or false, the only spellings on which all readers of YAML
// agree.
func setBool(text string, v reflect.Value) error {
	switch text {
	case "true":
		v.SetBool(true)
	case "false":
		v.SetBool(false)
	default:
		return fmt.Errorf("%s is neither true nor false", show(text))
	}
	return nil
}

func setDuration(text string, v reflect.Value) error {
	t, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%s is not a duration with a unit, such as 2s, 500ms or 30m", show(text))
	}
	v.SetInt(int64(t))
	return nil
}

// readable turns the errors of the standard library's types, which name
// functions, into an operator's words.
func readable(t reflect.Type, text string, err error) error {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return fmt.Errorf("%s is not an IP address", show(text))
	case reflect.TypeFor[netip.Prefix]():
		return fmt.Errorf("%s is not an IP prefix such as 192.0.2.0/24", show(text))
	case reflect.TypeFor[netip.AddrPort]():
		return fmt.Errorf("%s is not an IP address with a port, such as 192.0.2.1:80 or [2001:db8::1]:80", show(text))
	}
	// What is wrapped stays reachable for errors.Is.
	var n *strconv.NumError
	if errors.As(err, &n) {
		return fmt.Errorf("%s is not a number in range: %w", show(text), n.Err)
	}
	return err
}

// show quotes a value of the file, shortened.
func show(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(strings.ToValidUTF8(text[:most], "")) + "..."
	}
	return strconv.Quote(text)
}
