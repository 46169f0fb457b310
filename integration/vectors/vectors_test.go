package vectors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// scripted is a rig that gives out what a test says.
type scripted struct {
	sent     [2][][]byte
	out      [2][][]byte
	drops    map[Cause]uint64
	sendErr  error
	closed   int
	closeErr error
}

func (s *scripted) Send(_ context.Context, side dataplane.Side, p []byte) error {
	s.sent[side] = append(s.sent[side], p)
	return s.sendErr
}

func (s *scripted) Collect(context.Context) ([2][][]byte, error)    { return s.out, nil }
func (s *scripted) Drops(context.Context) (map[Cause]uint64, error) { return s.drops, nil }
func (s *scripted) Close() error                                    { s.closed++; return s.closeErr }
func (s *scripted) start(context.Context, Setup) (Rig, error)       { return s, nil }
func (*scripted) unsupported(context.Context, Setup) (Rig, error)   { return nil, ErrUnsupported }
func (*scripted) broken(context.Context, Setup) (Rig, error)        { return nil, errors.New("no device") }
func only(side dataplane.Side, packets ...[]byte) (by [2][][]byte)  { by[side] = packets; return by }
func run(c Case, start Factory) (r Result, t Tally) {
	t = Run(context.Background(), []Case{c}, start, func(got Result) { r = got })
	return r, t
}

// TestVerdicts shows what passes, what fails and what is skipped.
func TestVerdicts(t *testing.T) {
	in, out := sample(t, 1), sample(t, 2)
	forwards := Case{In: only(dataplane.SideIPv4, in), Out: only(dataplane.SideIPv6, out)}
	silent := Case{Category: "unbound", In: only(dataplane.SideIPv4, in, in)}
	fragments := Case{Category: "fragmentation", In: only(dataplane.SideIPv6, in, in)}
	tests := []struct {
		name    string
		c       Case
		rig     scripted
		verdict Verdict
		says    string
	}{
		{"what must come out does", forwards, scripted{out: forwards.Out}, Passed, ""},
		{"nothing comes out", forwards, scripted{}, Failed, "ipv6 side: missing"},
		{"on the wrong side", forwards, scripted{out: only(dataplane.SideIPv4, out)}, Failed, "ipv4 side: unexpected"},
		{"something else comes out", forwards, scripted{out: only(dataplane.SideIPv6, in)}, Failed, "missing"},
		{"more comes out", forwards, scripted{out: only(dataplane.SideIPv6, out, out)}, Failed, "unexpected"},
		{"cannot send", forwards, scripted{out: forwards.Out, sendErr: errors.New("no carrier")}, Failed, "no carrier"},
		{"cannot close", forwards, scripted{out: forwards.Out, closeErr: errors.New("stuck")}, Failed, "stuck"},

		{"silence that is explained", silent, scripted{drops: map[Cause]uint64{CauseUnbound: 2}}, Passed, "dropped: unbound 2"},
		{"silence with nothing processed", silent, scripted{}, Failed, "no counter says"},
		{"silence with half processed", silent, scripted{drops: map[Cause]uint64{CauseUnbound: 1}}, Failed, "2 packets went in and 1"},
		{"silence for another cause", silent, scripted{drops: map[Cause]uint64{CauseOther: 2}}, Failed, `dropped for "other"`},
		{"silence partly for another cause", silent, scripted{drops: map[Cause]uint64{CauseUnbound: 2, CauseFilter: 1}}, Failed, `dropped for "filter"`},
		{"silence broken", silent, scripted{out: forwards.Out, drops: map[Cause]uint64{CauseUnbound: 2}}, Failed, "unexpected"},
		{"given up in reassembly, one fragment held", fragments, scripted{drops: map[Cause]uint64{CauseReassembly: 1}}, Passed, ""},

		{"cannot be run", Case{Problem: errors.New("no such file")}, scripted{}, Failed, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, tally := run(tt.c, tt.rig.start)
			if r.Verdict != tt.verdict || !strings.Contains(strings.Join(r.Notes, "\n"), tt.says) {
				t.Errorf("%s %q, want %s with %q", r.Verdict, r.Notes, tt.verdict, tt.says)
			}
			if tt.c.Problem == nil && tt.rig.closed != 1 {
				t.Errorf("closed %d times", tt.rig.closed)
			}
			want := "0 passed, 1 failed, 0 skipped"
			if tt.verdict == Passed {
				want = "1 passed, 0 failed, 0 skipped"
			}
			if tally.String() != want {
				t.Errorf("tally %q, want %q", tally, want)
			}
		})
	}

	if r, tally := run(forwards, (&scripted{}).unsupported); r.Verdict != Skipped || tally.Skipped != 1 {
		t.Errorf("unsupported: %s, %s", r.Verdict, tally)
	}
	if r, _ := run(forwards, (&scripted{}).broken); r.Verdict != Failed || !strings.Contains(r.Notes[0], "no device") {
		t.Errorf("broken: %s %q", r.Verdict, r.Notes)
	}
}

// TestSendMends shows that a wrong inner header checksum is mended on the way
// in and that the case itself is left alone.
func TestSendMends(t *testing.T) {
	p := tunnelled(t)
	p[40+10] ^= 0xff
	before := bytes.Clone(p)
	rig := &scripted{}
	c := Case{In: only(dataplane.SideIPv6, p)}
	r, _ := run(c, rig.start)
	if !bytes.Equal(p, before) {
		t.Error("the case's packet was changed")
	}
	if sent := rig.sent[dataplane.SideIPv6]; len(sent) != 1 || !bytes.Equal(sent[0], tunnelled(t)) {
		t.Errorf("sent %x", sent)
	}
	if !strings.Contains(strings.Join(r.Notes, "\n"), "mended") {
		t.Errorf("notes %q do not say so", r.Notes)
	}
}

// TestLoad reads a folder like those that are published.
func TestLoad(t *testing.T) {
	cases, err := Load(folder(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 1 || cases[0].Problem != nil {
		t.Fatalf("got %+v", cases)
	}
	c := cases[0]
	if len(c.In[dataplane.SideIPv4]) != 1 || len(c.Out[dataplane.SideIPv6]) != 2 || c.In[dataplane.SideIPv6] != nil {
		t.Errorf("packets %d in, %d out", len(c.In[dataplane.SideIPv4]), len(c.Out[dataplane.SideIPv6]))
	}
	if !bytes.Equal(c.Out[dataplane.SideIPv6][1], sample(t, 3)) {
		t.Error("the VLAN tag of the second frame was not taken off")
	}
	s := c.Setup
	if len(s.Softwires) != 2 || s.Softwires[1].String() != "178.51.100.7 psid 0/6/4 lwB4 2001:db8::b4 BR 2001:db8::af" {
		t.Errorf("softwires %v", s.Softwires)
	}
	if s.IPv4MTU != 1460 || s.TunnelMTU != 1500 || !s.Hairpin || s.MaxFragments != [2]int{40, 2} || s.MaxPackets != [2]int{20000, 20000} || s.ErrorRate != [2]int{300000, 3000} {
		t.Errorf("setup %+v", s)
	}
	if !s.AcceptICMP[dataplane.SideIPv4] || s.AcceptICMP[dataplane.SideIPv6] || s.SendErrors[dataplane.SideIPv4] || !s.SendErrors[dataplane.SideIPv6] {
		t.Errorf("ICMP policy %+v", s)
	}
	if s.DropIn != [2]bool{false, true} || s.DropOut != [2]bool{} {
		t.Errorf("filters %+v", s)
	}
	n := s.Network()
	// Pools are the softwires' addresses, and where the packet goes.
	if len(n.Pools) != 3 || len(n.BRs) != 2 {
		t.Errorf("network %+v", n)
	}
}

// TestLoadProblems damages the folder in one place at a time.
func TestLoadProblems(t *testing.T) {
	type object = map[string]any
	conf := func(d object) object { return d["confs"].(object)["a.conf"].(object) }
	first := func(d object) object { return d["cases"].([]any)[0].(object) }
	tests := []struct {
		name   string
		damage func(object)
		whole  bool // the folder cannot be read at all
		says   string
	}{
		{"no cases", func(d object) { d["cases"] = []any{} }, true, "no cases"},
		{"cases of another type", func(d object) { d["cases"] = 7 }, true, "cases.json"},
		{"case of another type", func(d object) { d["cases"] = []any{"x"} }, false, "element 0 of cases"},
		{"unknown comparison", func(d object) { first(d)["compare"] = "roughly" }, false, `compare: "roughly"`},
		{"unknown conf", func(d object) { first(d)["conf"] = "b.conf" }, false, `no "b.conf"`},
		{"missing pcap", func(d object) { first(d)["in_v4"] = "pcap/no.pcap" }, false, "in_v4: "},
		{"pcap outside the folder", func(d object) { first(d)["in_v4"] = "../../etc/passwd" }, false, "below the folder"},
		{"pcap that is none", func(d object) { first(d)["in_v4"] = "cases.json" }, false, "not a pcap file"},
		{"nothing goes in", func(d object) { first(d)["in_v4"] = nil }, false, "no packet goes in"},
		{"bad address", func(d object) { conf(d)["ext_if"] = object{"ip": "x"} }, false, "conf a.conf: "},
		{"wrong family", func(d object) { conf(d)["ext_if"] = object{"ip": "2001:db8::1"} }, false, "ext_if.ip"},
		{"no BR address", func(d object) { conf(d)["int_if"] = object{} }, false, "int_if.ip"},
		{"psid that does not fit", func(d object) { conf(d)["softwires"].([]any)[1].(object)["psid"] = 64 }, false, "softwires[1]"},
		{"reserved bits", func(d object) { conf(d)["softwires"].([]any)[0].(object)["reserved_bits"] = 2 }, false, "reserved_bits 2"},
		{"unknown filter", func(d object) { conf(d)["external"].(object)["ingress_filter"] = "tcp" }, false, `external.ingress_filter: "tcp"`},
		{"no rate period", func(d object) { conf(d)["internal"].(object)["error_rate_period_s"] = 0 }, false, "internal.error_rate"},
		{"no fragments", func(d object) { conf(d)["internal"].(object)["max_fragments_per_packet"] = 0 }, false, "max_fragments_per_packet 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cases, err := Load(folder(t, tt.damage))
			if tt.whole {
				if !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, want ErrFolder with %q", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(cases) != 1 || cases[0].Problem == nil || !strings.Contains(cases[0].Problem.Error(), tt.says) {
				t.Errorf("got %+v, want a problem with %q", cases, tt.says)
			}
		})
	}
	if _, err := Load(fstest.MapFS{}); !errors.Is(err, ErrFolder) {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestLoadKeepsTheOthers shows that a broken case leaves the next one alone.
func TestLoadKeepsTheOthers(t *testing.T) {
	f := folder(t, func(d map[string]any) { d["cases"] = append([]any{"broken"}, d["cases"].([]any)...) })
	cases, err := Load(f)
	if err != nil || len(cases) != 2 || cases[0].Problem == nil || cases[1].Problem != nil {
		t.Errorf("got %+v, %v", cases, err)
	}
}

func TestParseCapture(t *testing.T) {
	packet := sample(t, 1)
	tests := []struct {
		name string
		data []byte
		want int
		says string
	}{
		{"frames", capture(t, frame(etherIPv4, packet), frame(etherIPv4, packet)), 2, ""},
		{"ARP is left out", capture(t, frame(0x0806, make([]byte, 28)), frame(etherIPv4, packet)), 1, ""},
		{"two VLAN tags", capture(t, frame(etherQinQ, append([]byte{0, 1, 0x81, 0, 0, 2, 8, 0}, packet...))), 1, ""},
		{"VLAN tag cut short", capture(t, frame(etherVLAN, []byte{0, 1})), 0, "cut short"},
		{"no frames", capture(t), 0, ""},
		{"no Ethernet header", capture(t, packet[:13]), 0, "frame 1"},
		{"frame cut short", capture(t, frame(etherIPv4, packet))[:60], 0, "frame 1"},
		{"truncated when captured", truncated(t, frame(etherIPv4, packet)), 0, "truncated"},
		{"not Ethernet", rawCapture(t), 0, "link type"},
		{"empty", nil, 0, "not a pcap file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseCapture(tt.data)
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, want an error with %q", err, tt.says)
				}
				return
			}
			if err != nil || len(got) != tt.want {
				t.Errorf("got %d packets and %v, want %d", len(got), err, tt.want)
			}
		})
	}
}

// FuzzDecode holds that no cases.json breaks the reader.
func FuzzDecode(f *testing.F) {
	data, err := json.Marshal(casesJSON())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	packet := sample(f, 1)
	f.Fuzz(func(t *testing.T, data []byte) {
		cases, err := decode(data, func(string) ([][]byte, error) { return [][]byte{packet}, nil })
		if (err == nil) != (len(cases) > 0) {
			t.Errorf("%d cases and %v", len(cases), err)
		}
		for _, c := range cases {
			c.Setup.Network()
		}
	})
}

// FuzzParseCapture holds that no pcap file breaks the reader.
func FuzzParseCapture(f *testing.F) {
	f.Add(capture(f, frame(etherIPv4, sample(f, 1))))
	f.Add(capture(f, frame(etherVLAN, []byte{0, 1})))
	f.Fuzz(func(_ *testing.T, data []byte) {
		packets, err := parseCapture(data)
		if err != nil {
			return
		}
		for _, p := range packets {
			mend(p)
		}
	})
}
