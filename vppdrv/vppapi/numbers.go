package vppapi

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/memclnt"
)

// numbers are the message numbers of one VPP. They differ between VPPs and
// between runs of one.
type numbers struct {
	byName map[string]uint16
	// kinds are the message types that are linked into this program and known
	// to VPP. A number may have several: bindings of one API file may exist
	// twice, so a reply is of the bindings of its request if it can be.
	kinds map[uint16][]reflect.Type
}

func newNumbers(table []memclnt.MessageTableEntry) *numbers {
	n := &numbers{byName: make(map[string]uint16, len(table)), kinds: make(map[uint16][]reflect.Type)}
	for _, entry := range table {
		name, _, _ := strings.Cut(entry.Name, "\x00")
		n.byName[strings.TrimSuffix(name, "\x13")] = entry.Index
	}
	for _, messages := range api.GetRegisteredMessages() {
		for _, m := range messages {
			if number, ok := n.byName[fullName(m)]; ok {
				n.kinds[number] = append(n.kinds[number], reflect.TypeOf(m).Elem())
			}
		}
	}
	return n
}

// fullName is what VPP calls a message and its fields.
func fullName(m api.Message) string { return m.GetMessageName() + "_" + m.GetCrcString() }

// of returns the number of m. The error is an *IncompatibleError.
func (n *numbers) of(m api.Message) (uint16, error) {
	number, ok := n.byName[fullName(m)]
	if !ok {
		return 0, n.check([]api.Message{m})
	}
	return number, nil
}

// check returns an *IncompatibleError that names what VPP lacks of messages.
func (n *numbers) check(messages []api.Message) error {
	var e IncompatibleError
	for _, m := range messages {
		if _, known := n.byName[fullName(m)]; known {
			continue
		}
		if file := apiFile(reflect.TypeOf(m).Elem()); n.knowsNothingOf(file) {
			e.Plugins = append(e.Plugins, file)
		} else {
			e.Messages = append(e.Messages, m.GetMessageName())
		}
	}
	if e.Plugins == nil && e.Messages == nil {
		return nil
	}
	slices.Sort(e.Plugins)
	slices.Sort(e.Messages)
	e.Plugins, e.Messages = slices.Compact(e.Plugins), slices.Compact(e.Messages)
	return &e
}

// knowsNothingOf reports whether VPP has no message of an API file. A plugin has
// one file, with its name.
func (n *numbers) knowsNothingOf(file string) bool {
	for _, kinds := range n.kinds {
		for _, k := range kinds {
			if apiFile(k) == file {
				return false
			}
		}
	}
	return true
}

// empty returns a new message of the type that has a number, of the bindings
// of request if those have it.
func (n *numbers) empty(number uint16, request api.Message) (api.Message, error) {
	kinds := n.kinds[number]
	if len(kinds) == 0 {
		return nil, fmt.Errorf("%w: number %d", ErrProtocol, number)
	}
	kind := kinds[0]
	for _, k := range kinds[1:] {
		if request != nil && bindings(k) == bindings(reflect.TypeOf(request).Elem()) {
			kind = k
		}
	}
	return reflect.New(kind).Interface().(api.Message), nil
}

// apiFile is the name of the API file that a message type was made from.
func apiFile(t reflect.Type) string { return path.Base(t.PkgPath()) }

// bindings is the folder that the bindings of a message type belong to.
func bindings(t reflect.Type) string { return path.Dir(t.PkgPath()) }
