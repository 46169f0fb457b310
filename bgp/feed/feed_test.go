package feed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func frame(text string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// TestMessages: what is written is read as the same, one after the other.
func TestMessages(t *testing.T) {
	med, none := uint32(7), uint32(0)
	messages := []message{
		&Order{Session: &Session{
			RouterID: netip.MustParseAddr("192.0.2.1"), AS: 4200000000, Peer: netip.MustParseAddr("2001:db8::1"), PeerAS: 64500,
			Port: 179, Source: netip.MustParseAddr("2001:db8::2"), Password: "p\x00\"", MinTTL: 255, HoldTime: 90, ConnectRetry: 5,
			IPv4: true, IPv6: true, PrefixLimit: 1000, GracefulRestart: 120, Restarting: true,
		}},
		&Order{Routes: &Routes{}},
		&Order{Routes: &Routes{Routes: []Route{
			{Prefix: prefixes("192.0.2.0/24")[0], NextHop: netip.MustParseAddr("2001:db8::2"), MED: &med, LocalPref: &none, Prepend: 3,
				Communities: []uint32{0xffff0000}, Large: [][3]uint32{{1, 2, 3}}},
			{Prefix: prefixes("::/0")[0]},
		}}},
		&Report{},
		&Report{Status: &Status{State: Established, Announced: prefixes("192.0.2.0/24", "2001:db8::/32"), Error: "x",
			ErrorTime: time.Unix(1700000000, 5).UTC()}},
		&Report{Log: &Log{Level: "info", Message: "m", Fields: map[string]string{"a": "b"}}},
	}
	var wire bytes.Buffer
	for _, m := range messages {
		if err := Write(&wire, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range messages {
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface().(message)
		if err := Read(&wire, got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if err := Read(&wire, &Order{}); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, want io.EOF", err)
	}
}

// TestFaults: what is no frame or no message is refused.
func TestFaults(t *testing.T) {
	const session = `{"Session":{"RouterID":"192.0.2.1","Peer":"192.0.2.2"}}`
	order, report := func() message { return &Order{} }, func() message { return &Report{} }
	tests := []struct {
		name string
		wire []byte
		into func() message
		want error
	}{
		{"half a length", []byte{0, 0}, order, io.ErrUnexpectedEOF},
		{"half a frame", frame(session)[:20], order, io.ErrUnexpectedEOF},
		{"more than a frame may have", []byte{0x00, 0x40, 0x00, 0x01}, order, ErrFrame},
		{"nothing", frame(""), order, ErrFrame},
		{"no JSON", frame("{"), order, ErrFrame},
		{"two messages", frame(session + session), order, ErrFrame},
		{"an unknown member", frame(`{"Routes":{},"Novelty":1}`), order, ErrFrame},
		{"an empty order", frame(`{}`), order, ErrFrame},
		{"two orders", frame(`{"Routes":{},"Session":{"RouterID":"192.0.2.1","Peer":"192.0.2.2"}}`), order, ErrFrame},
		{"a session without a peer", frame(`{"Session":{"RouterID":"192.0.2.1","Peer":""}}`), order, ErrFrame},
		{"a router ID of IPv6", frame(`{"Session":{"RouterID":"::1","Peer":"192.0.2.2"}}`), order, ErrFrame},
		{"a route with host bits", frame(`{"Routes":{"Routes":[{"Prefix":"192.0.2.1/24","NextHop":""}]}}`), order, ErrFrame},
		{"a route to nowhere", frame(`{"Routes":{"Routes":[{"Prefix":"","NextHop":""}]}}`), order, ErrFrame},
		{"too many routes", frame(`{"Routes":{"Routes":[` + strings.Repeat(`{"Prefix":"::/0"},`, MaxRoutes) + `{"Prefix":"::/0"}]}}`), order, ErrFrame},
		{"two reports", frame(`{"Status":{},"Log":{}}`), report, ErrFrame},
		{"a long status", frame(`{"Status":{"Error":"` + strings.Repeat("x", maxText+1) + `"}}`), report, ErrFrame},
		{"a long line", frame(`{"Log":{"Fields":{"a":"` + strings.Repeat("x", maxText) + `"}}}`), report, ErrFrame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := Read(bytes.NewReader(tt.wire), tt.into()); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if err := Read(bytes.NewReader(frame(session)), &Order{}); err != nil {
		t.Errorf("what the faults are made of: %v", err)
	}
}

// FuzzRead: whatever comes is a message or an error, and a message that is written
// again is the same.
func FuzzRead(f *testing.F) {
	f.Add(frame(`{"Session":{"RouterID":"192.0.2.1","Peer":"2001:db8::1"}}`))
	f.Add(frame(`{"Routes":{"Routes":[{"Prefix":"192.0.2.0/24","NextHop":"192.0.2.1","MED":1,"Large":[[1,2,3]]}]}}`))
	f.Add(frame(`{"Status":{"State":"established","Announced":["::/0"],"ErrorTime":"2024-01-01T00:00:00Z"}}`))
	f.Add(frame(`{"Log":{"Level":"info","Message":"m","Fields":{"a":"b"}}}`))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, pair := range [][2]message{{&Order{}, &Order{}}, {&Report{}, &Report{}}} {
			if Read(bytes.NewReader(wire), pair[0]) != nil {
				continue
			}
			var again bytes.Buffer
			if err := Write(&again, pair[0]); err != nil {
				t.Fatal(err)
			}
			if err := Read(&again, pair[1]); err != nil {
				t.Fatalf("%s: %v", again.Bytes(), err)
			}
		}
	})
}
