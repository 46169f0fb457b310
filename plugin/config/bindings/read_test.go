package bindings

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// rowText is a row as the tests write it: line, then its keys' values.
func rowText(t *testing.T, r Row) string {
	t.Helper()
	opt := func(v *uint8) string {
		if v == nil {
			return "-"
		}
		return itoa(int(*v))
	}
	b4, err := r.Entry.IPv6Info.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	psid := "-"
	if r.Entry.PSID != nil {
		psid = itoa(int(*r.Entry.PSID))
	}
	br := "-"
	if r.Entry.BR.IsValid() {
		br = r.Entry.BR.String()
	}
	return strings.Join([]string{itoa(r.Line), r.Entry.IPv4.String(), string(b4), opt(r.Entry.PSIDOffset), opt(r.Entry.PSIDLen), psid, br}, " ")
}

// readAll is everything that Read yields, rows and errors in order.
func readAll(t *testing.T, r io.Reader, format Format) []string {
	t.Helper()
	var all []string
	Read("f", r, format, func(row Row, err error) bool {
		if err != nil {
			all = append(all, strings.Split(err.Error(), "\n")...)
		} else {
			all = append(all, rowText(t, row))
		}
		return true
	})
	return all
}

type readTest struct {
	name, text string
	want       []string
}

func runReadTests(t *testing.T, format Format, tests []readTest) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := readAll(t, strings.NewReader(tt.text), format)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			slow := readAll(t, iotest.OneByteReader(strings.NewReader(tt.text)), format)
			if diff := cmp.Diff(got, slow); diff != "" {
				t.Errorf("byte by byte it reads otherwise: -whole +bytes:\n%s", diff)
			}
		})
	}
	t.Run("failing reader", func(t *testing.T) {
		fail := errors.New("the disk is gone")
		got := readAll(t, io.MultiReader(strings.NewReader(tests[0].text), iotest.ErrReader(fail)), format)
		if len(got) == 0 || !strings.Contains(got[len(got)-1], fail.Error()) {
			t.Errorf("got %q, want the reader's error at the end", got)
		}
	})
	t.Run("stops when asked", func(t *testing.T) {
		n := 0
		Read("f", strings.NewReader(tests[0].text), format, func(Row, error) bool { n++; return false })
		if n != 1 {
			t.Errorf("yielded %d times after false", n)
		}
	})
}

const knownKeys = "unknown; known here: binding-ipv4-addr, binding-ipv6info, psid-offset, psid-len, psid, br-ipv6-addr"

func TestReadYAML(t *testing.T) {
	const item = "- {binding-ipv4-addr: 192.0.2.1, psid: 1, binding-ipv6info: 2001:db8::1}\n"
	const row = " 192.0.2.1 2001:db8::1 - - 1 -"
	runReadTests(t, YAML, []readTest{
		{"all forms", `---
# softwires
- binding-ipv4-addr: 192.0.2.1   # comment
  binding-ipv6info: "2001:db8::1"
  psid-offset: 6
  psid-len: 8

  # in between
  psid: 52
  br-ipv6-addr: '2001:db8:ffff::1'
- {binding-ipv4-addr: 192.0.2.2,psid: 1, binding-ipv6info: 2001:db8:1::/56}
-
  binding-ipv4-addr: 192.0.2.3
  binding-ipv6info: 2001:db8::3
`, []string{
			"3 192.0.2.1 2001:db8::1 6 8 52 2001:db8:ffff::1",
			"11 192.0.2.2 2001:db8:1::/56 - - 1 -",
			"12 192.0.2.3 2001:db8::3 - - - -"}},
		{"indented, carriage returns", "  " + strings.TrimSuffix(item, "\n") + "\r\n  " + item, []string{"1" + row, "2" + row}},
		{"no end of line", strings.TrimSuffix(item, "\n"), []string{"1" + row}},
		{"empty", "# nothing\n", nil},
		{"unknown key", "- {binding-ipv4-addr: 192.0.2.1, b4: 2001:db8::1}\n" + item, []string{"f:1: b4: " + knownKeys, "2" + row}},
		{"twice", "- psid: 1\n  psid: 1\n" + item, []string{"f:2: psid: given twice", "3" + row}},
		{"missing", "- psid: 1\n" + item, []string{"f:1: binding-ipv4-addr: is missing", "2" + row}},
		{"empty item", "-\n" + item, []string{"f:1: binding-ipv4-addr: is missing", "2" + row}},
		{"bad number", "- {psid: 65536}\n- {psid: 01}\n- {psid: 1.0}\n", []string{
			`f:1: psid: "65536" is not a whole decimal number from 0 to 65535`,
			`f:2: psid: "01" is not a whole decimal number from 0 to 65535`,
			`f:3: psid: "1.0" is not a whole decimal number from 0 to 65535`}},
		{"bad address", "- binding-ipv4-addr: 192.0.2\n", []string{`f:1: binding-ipv4-addr: "192.0.2" is not an IP address`}},
		{"words", "- binding-ipv4-addr: localhost\n", []string{`f:1: binding-ipv4-addr: "localhost" is neither a number nor an address`}},
		{"no value", "- binding-ipv4-addr:\n", []string{"f:1: binding-ipv4-addr: has no value"}},
		{"a mapping", "static:\n" + item, []string{"f:1: want a list of entries, each starting with a dash"}},
		{"anchor", "- &a {psid: 1}\n", []string{`f:1: "&a {psid: 1}" is not understood: want key: value`}},
		{"key after the braces", "- {psid: 1}\n  psid-len: 8\n", []string{"f:2: unexpected here: want the next entry, or a key below the others of this one"}},
		{"wrong indentation", "- psid: 1\n   psid-len: 8\n", []string{"f:2: unexpected here: want the next entry, or a key below the others of this one"}},
		{"dash elsewhere", item + " - {psid: 1}\n", []string{"f:2: unexpected here: want the next entry, or a key below the others of this one"}},
		{"open brace", "- {psid: 1,\n", []string{"f:1: the closing } is missing in this line"}},
		{"open quote", "- psid: \"1\n", []string{"f:1: psid: the closing quote is missing in this line"}},
		{"text after", "- {psid: 1} x\n", []string{`f:1: "x" is not understood`}},
		{"no comma", "- {psid: 1 psid-len: 2}\n", []string{"f:1: psid: want a comma or } after the value"}},
		{"long line", item + "- {psid: " + strings.Repeat("1", 5000) + "}\n", []string{"1" + row, "f:2: the line is longer than 4096 bytes"}},
	})
}

func TestReadCSV(t *testing.T) {
	const header = "binding-ipv4-addr,psid,binding-ipv6info\n"
	runReadTests(t, CSV, []readTest{
		{"all columns", `# a comment
br-ipv6-addr,binding-ipv6info, binding-ipv4-addr ,psid-offset,psid-len,psid
2001:db8:ffff::1,2001:db8::1,192.0.2.1,6,8,52
# between
,"2001:db8::2", 192.0.2.2 ,,,
`, []string{"3 192.0.2.1 2001:db8::1 6 8 52 2001:db8:ffff::1", "5 192.0.2.2 2001:db8::2 - - - -"}},
		{"byte order mark, carriage returns", "\ufeffbinding-ipv4-addr,binding-ipv6info\r\n192.0.2.1,2001:db8::1\r\n", []string{"2 192.0.2.1 2001:db8::1 - - - -"}},
		{"header only", header, nil},
		{"empty", "", []string{"f:1: is empty: the first row must name the columns"}},
		{"no header", "192.0.2.1,1,2001:db8::1\n", []string{`f:1: column "192.0.2.1" is unknown; the first row must name the columns: binding-ipv4-addr, binding-ipv6info, psid-offset, psid-len, psid, br-ipv6-addr`}},
		{"column twice", "psid,psid\n", []string{"f:1: column psid is there twice"}},
		{"column missing", "binding-ipv4-addr,psid\n", []string{"f:1: column binding-ipv6info is missing"}},
		{"bad rows between good ones", header + "192.0.2.1,1\n192.0.2.1,1,2001:db8::1\n192.0.2,1,2001:db8::1\n,1,2001:db8::1\n192.0.2.1,x,2001:db8::1\n", []string{
			"f:2: 2 columns where the first row has 3",
			"3 192.0.2.1 2001:db8::1 - - 1 -",
			`f:4: binding-ipv4-addr: "192.0.2" is not an IP address`,
			"f:5: binding-ipv4-addr: is missing",
			`f:6: psid: "x" is not a whole decimal number from 0 to 65535`}},
		{"bare quote", header + "192.0.2.1,1,20\"01\n", []string{`f:2: bare " in non-quoted-field`}},
		{"quote without end", header + "\"" + strings.Repeat("x\n", maxToken), []string{"f:2: " + errLongToken.Error()}},
	})
}

func TestReadJSON(t *testing.T) {
	const entry = `{"binding-ipv6info": "2001:db8::1", "binding-ipv4-addr": "192.0.2.1", "port-set": {"psid-len": 8, "psid": 52}, "br-ipv6-addr": "2001:db8:ffff::1"}`
	const row = " 192.0.2.1 2001:db8::1 0 8 52 2001:db8:ffff::1"
	const from = `{"ietf-softwire-br:binding-entry": [`
	const here = "unknown here or given twice; a binding-entry has binding-ipv4-addr, binding-ipv6info, br-ipv6-addr and a port-set of psid-offset, psid-len, psid"
	bad := func(what string) string { return from + "\n" + what + ",\n" + entry + "]}" }
	runReadTests(t, JSON, []readTest{
		{"whole module", `{
  "ietf-softwire-br:br-instances": {
    "binding": {
      "bind-instance": [
        {
          "name": "one", "softwire-num-max": 1024, "binding-table-versioning": {"version": "1", "x": [[1]]},
          "binding-table": {
            "binding-entry": [
              {
                "binding-ipv6info": "2001:db8::1",
                "binding-ipv4-addr": "192.0.2.1",
                "port-set": {
                  "psid-offset": 6,
                  "psid-len": 8,
                  "psid": 52
                },
                "br-ipv6-addr": "2001:db8:ffff::1"
              },
              {"binding-ipv6info": "2001:db8:1::/56", "binding-ipv4-addr": "192.0.2.2"}
            ]
          },
          "icmp-policy": {"icmpv4-errors": {"allow-incoming-icmpv4": true}}
        },
        {"name": "two", "binding-table": {"binding-entry": [` + entry + `]}}
      ]
    }
  }
}
`, []string{"10 192.0.2.1 2001:db8::1 6 8 52 2001:db8:ffff::1", "19 192.0.2.2 2001:db8:1::/56 0 - - -", "24" + row}},
		{"from the table", `{"ietf-softwire-br:binding-table": {"binding-entry": [` + entry + `]}}`, []string{"1" + row}},
		{"empty table", `{"ietf-softwire-br:br-instances": {}}`, nil},
		{"unknown leaf", bad(`{"b4": 1}`), []string{"f:2: b4: " + here, "3" + row}},
		{"leaf at the wrong level", bad(`{"psid": {"x": [1]}}`), []string{"f:2: psid: " + here, "3" + row}},
		{"twice", bad(`{"br-ipv6-addr": "2001:db8::1", "br-ipv6-addr": "2001:db8::1"}`), []string{"f:2: br-ipv6-addr: given twice", "3" + row}},
		{"two port sets", bad(`{"port-set": {}, "port-set": {}}`), []string{"f:2: port-set: " + here, "3" + row}},
		{"missing", bad(`{"binding-ipv4-addr": "192.0.2.1"}`), []string{"f:2: binding-ipv6info: is missing", "3" + row}},
		{"nothing", bad(`{}`), []string{"f:2: binding-ipv4-addr: is missing", "3" + row}},
		{"number as a string", bad(`{"port-set": {"psid": "52"}}`), []string{"f:2: psid: want a JSON number (RFC 7951)", "3" + row}},
		{"string as a number", bad(`{"binding-ipv4-addr": 5}`), []string{"f:2: binding-ipv4-addr: want a JSON string (RFC 7951)", "3" + row}},
		{"null", bad(`{"binding-ipv4-addr": null}`), []string{"f:2: binding-ipv4-addr: want a JSON string (RFC 7951)", "3" + row}},
		{"a list", bad(`{"binding-ipv4-addr": [["192.0.2.1"], {}]}`), []string{"f:2: binding-ipv4-addr: want a JSON string (RFC 7951)", "3" + row}},
		{"fraction", bad(`{"port-set": {"psid": 1e2}}`), []string{`f:2: psid: "1e2" is not a whole decimal number from 0 to 65535`, "3" + row}},
		{"escapes", bad(`{"binding-ipv4-\u0061ddr": "192\u002e0.2.1\n"}`), []string{`f:2: binding-ipv4-addr: "192.0.2.1\n" is not an IP address`, "3" + row}},
		{"no namespace", `{"binding-table": {}}`, []string{`f:1: "binding-table" where a name of ietf-softwire-br is expected`}},
		{"other name", `{"ietf-softwire-br:x": {}}`, []string{`f:1: "ietf-softwire-br:x" holds no binding table`}},
		{"MAP", `{"ietf-softwire-br:br-instances": {"algorithm": {}}}`, []string{`f:1: "algorithm" in br-instances is not of lightweight 4over6`}},
		{"nested in itself", `{"ietf-softwire-br:binding": {"binding": {}}}`, []string{`f:1: "binding" in binding is not of lightweight 4over6`}},
		{"not an object", "[]", []string{`f:1: not a binding table: the file: '[' where '{' is expected`}},
		{"an entry that is none", from + "1]}", []string{`f:1: not a binding table: binding-entry: "1" where '{' is expected`}},
		{"no comma", from + "\n" + entry + "\n" + entry + "]}", []string{"2" + row, "f:3: not a binding table: binding-entry: '{' where ',' or ']' is expected"}},
		{"comma at the end", from + entry + ",]}", []string{"1" + row, "f:1: not a binding table: binding-entry: ']' where '{' is expected"}},
		{"no colon", `{"ietf-softwire-br:binding" {}}`, []string{"f:1: not a binding table: the file: '{' where ':' is expected"}},
		{"word", from + "nope]}", []string{`f:1: not JSON: "nope" where a value is expected`}},
		{"number", from + "{\"port-set\": {\"psid\": 01}}]}", []string{`f:1: not JSON: "01" is not a number`}},
		{"other character", from + "\n'", []string{`f:2: not JSON: character '\'' where a value is expected`}},
		{"ends early", from + "\n" + entry, []string{"2" + row, "f:2: not JSON: the file ends too early"}},
		{"empty", "", []string{"f:1: not JSON: the file ends too early"}},
		{"more follows", from + "]} {}", []string{"f:1: more follows after the end of the table"}},
		{"deep", bad(`{"x": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}"), []string{"f:2: values nest deeper than 32"}},
		{"string without end", from + "\n\"" + strings.Repeat("x", 2*maxJSONText), []string{"f:2: a value longer than 4096 bytes; is a quote missing?"}},
		{"string over two lines", from + "\n\"x\n", []string{"f:2: not JSON: a control character in a string; is a quote missing?"}},
	})
}
