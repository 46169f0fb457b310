package vectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path"

	"github.com/lwaftr/lw4o6/integration/vectors/compare"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Bounds of a folder.
const (
	maxCasesFile = 32 << 20 // bytes
	maxCases     = 10_000
)

// Where a folder holds what.
const (
	caseFolder = "lwaftr"
	caseFile   = "cases.json"
)

// ErrFolder reports a folder that holds no readable list of cases.
var ErrFolder = errors.New("not a folder of vectors")

// Case is one case, ready to run.
type Case struct {
	Index    int
	Name     string
	Category string
	Rule     compare.Rule
	Setup    Setup
	In, Out  [2][][]byte // IP packets by side, in order
	// Problem is why the case cannot be run; the fields above may be unset.
	Problem error

	deviation *Deviation // nil if it must pass
}

// Sides are the indices of Case.In and Case.Out.
var sides = [...]dataplane.Side{dataplane.SideIPv4, dataplane.SideIPv6}

// Load reads the cases of a folder. The error wraps ErrFolder; what is wrong
// with single cases is their Problem.
func Load(folder fs.FS) ([]Case, error) {
	data, err := readFile(folder, path.Join(caseFolder, caseFile), maxCasesFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return decode(data, func(name string) ([][]byte, error) {
		return readCapture(folder, path.Join(caseFolder, name))
	})
}

// file is cases.json. The parts are decoded one by one, so that a broken one
// does not take the others along.
type file struct {
	Confs map[string]json.RawMessage `json:"confs"`
	Cases []json.RawMessage          `json:"cases"`
}

// rawCase is a case as cases.json has it.
type rawCase struct {
	Index    int     `json:"index"`
	Name     string  `json:"name"`
	Category string  `json:"category"`
	Compare  string  `json:"compare"`
	Conf     string  `json:"conf"`
	InV4     *string `json:"in_v4"`
	InV6     *string `json:"in_v6"`
	OutV4    *string `json:"out_v4"`
	OutV6    *string `json:"out_v6"`
}

// decode turns cases.json into cases; capture reads a pcap file by its name
// there.
func decode(data []byte, capture func(string) ([][]byte, error)) ([]Case, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFolder, caseFile, err)
	}
	if len(f.Cases) == 0 {
		return nil, fmt.Errorf("%w: %s holds no cases", ErrFolder, caseFile)
	}
	if len(f.Cases) > maxCases {
		return nil, fmt.Errorf("%w: %s holds %d cases, at most %d are read", ErrFolder, caseFile, len(f.Cases), maxCases)
	}
	cases := make([]Case, len(f.Cases))
	for i, raw := range f.Cases {
		var r rawCase
		if err := json.Unmarshal(raw, &r); err != nil {
			cases[i] = Case{Index: r.Index, Name: r.Name, Problem: fmt.Errorf("element %d of cases: %w", i, err)}
			continue
		}
		cases[i] = Case{Index: r.Index, Name: r.Name, Category: r.Category}
		cases[i].Problem = cases[i].fill(r, f.Confs, capture)
	}
	return cases, nil
}

// fill completes c with what r refers to.
func (c *Case) fill(r rawCase, confs map[string]json.RawMessage, capture func(string) ([][]byte, error)) error {
	switch r.Compare {
	case "exact":
		c.Rule = compare.Exact
	case "normalised", "config-mapped":
		c.Rule = compare.Normalised
	default:
		return fmt.Errorf("compare: %q is none of exact, normalised, config-mapped", r.Compare)
	}
	raw, ok := confs[r.Conf]
	if !ok {
		return fmt.Errorf("conf: there is no %q under confs", r.Conf)
	}
	for _, part := range []struct {
		key  string
		name *string
		into *[][]byte
	}{
		{"in_v4", r.InV4, &c.In[dataplane.SideIPv4]}, {"in_v6", r.InV6, &c.In[dataplane.SideIPv6]},
		{"out_v4", r.OutV4, &c.Out[dataplane.SideIPv4]}, {"out_v6", r.OutV6, &c.Out[dataplane.SideIPv6]},
	} {
		if part.name == nil {
			continue
		}
		packets, err := capture(*part.name)
		if err != nil {
			return fmt.Errorf("%s: %w", part.key, err)
		}
		*part.into = packets
	}
	if len(c.In[0])+len(c.In[1]) == 0 {
		return errors.New("no packet goes in, so nothing would be shown")
	}
	var conf conf
	if err := json.Unmarshal(raw, &conf); err != nil {
		return fmt.Errorf("conf %s: %w", r.Conf, err)
	}
	setup, err := conf.setup()
	if err != nil {
		return fmt.Errorf("conf %s: %w", r.Conf, err)
	}
	c.Setup = setup
	c.Setup.Routed = destinations(c.In[dataplane.SideIPv4], setup.IPv4Address)
	return nil
}

// destinations are where IPv4 packets go to, other than the lwAFTR itself.
func destinations(packets [][]byte, own netip.Addr) []netip.Addr {
	const header, at = 20, 16
	var all []netip.Addr
	for _, p := range packets {
		if len(p) < header {
			continue
		}
		if a := netip.AddrFrom4([4]byte(p[at:])); a != own {
			all = append(all, a)
		}
	}
	return all
}

// silent reports whether nothing must come out.
func (c Case) silent() bool { return len(c.Out[0])+len(c.Out[1]) == 0 }

// readFile reads a file of at most limit bytes.
func readFile(folder fs.FS, name string, limit int64) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return data, nil
}
