package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// manifest says which files are the history. Replacing it is what makes a change
// of files happen.
type manifest struct {
	Version int `json:"version"`
	// Next is the number of the next new file; no file has a higher one.
	Next uint64 `json:"next"`
	// Runs are the numbers of the runs, the one with the oldest events first.
	Runs []uint64 `json:"runs"`
	// Journal is the number of the journal, which has what came after them.
	Journal uint64 `json:"journal"`
	// Sequence and Time are those of the last event in the runs; 0 if there is
	// none.
	Sequence uint64 `json:"sequence"`
	Time     stamp  `json:"time"`
	// Since is from when on the history is complete; 0 while it is empty.
	Since stamp `json:"since"`
}

const (
	manifestVersion = 1
	manifestName    = "manifest"
	manifestTemp    = "manifest.new"
	maxManifest     = 1 << 20
)

func runName(number uint64) string     { return fmt.Sprintf("run-%08d", number) }
func journalName(number uint64) string { return fmt.Sprintf("journal-%08d", number) }

// ours reports whether a file of this name is the history's own.
func ours(name string) bool {
	return strings.HasPrefix(name, "run-") || strings.HasPrefix(name, "journal-") || name == manifestTemp || name == manifestName
}

// files are the names of all that the manifest says are there.
func (m manifest) files() []string {
	all := []string{manifestName, journalName(m.Journal)}
	for _, n := range m.Runs {
		all = append(all, runName(n))
	}
	return all
}

// encode is the manifest as a line of JSON, and its CRC-32C as another.
func (m manifest) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s\n%08x\n", b, manifestSum(b)), nil
}

func manifestSum(line []byte) uint32 {
	return crc32.Checksum(line, crc32.MakeTable(crc32.Castagnoli))
}

// parseManifest reads what encode wrote. The error wraps ErrCorrupt.
func parseManifest(b []byte) (m manifest, err error) {
	fail := func(why string) (manifest, error) {
		return manifest{}, fmt.Errorf("%s: %w: %s", manifestName, ErrCorrupt, why)
	}
	line, check, _ := strings.Cut(string(b), "\n")
	if check != fmt.Sprintf("%08x\n", manifestSum([]byte(line))) {
		return fail("its checksum is wrong")
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return fail(err.Error())
	}
	if m.Version != manifestVersion {
		return fail(fmt.Sprintf("its version is %d, and this release reads %d", m.Version, manifestVersion))
	}
	for _, s := range []stamp{m.Time, m.Since} {
		if s != 0 && !s.valid() {
			return fail("it has a time that cannot be")
		}
	}
	for _, n := range append(m.Runs, m.Journal) {
		if n >= m.Next {
			return fail("it names a file that was never made")
		}
	}
	return m, nil
}

// readManifest reads the manifest of a folder. The error wraps ErrCorrupt, and
// that of os.ErrNotExist if there is none.
func readManifest(d disk) (manifest, error) {
	b, err := readFile(d, manifestName, maxManifest)
	if err != nil {
		return manifest{}, err
	}
	return parseManifest(b)
}

// write replaces the manifest. If it fails, the old one is still there. What it
// replaced may come back in a crash until the folder has been synced.
func (m manifest) write(d disk) (err error) {
	b, err := m.encode()
	if err != nil {
		return err
	}
	f, err := d.create(manifestTemp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.rename(manifestTemp, manifestName)
}
