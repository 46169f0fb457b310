package vectors

import (
	"fmt"
	"os"
	"path/filepath"
)

// Environment is the variable that names the folder of vectors.
const Environment = "LW4O6_VECTORS"

// DefaultFolder is where vectors are if Environment is unset, relative to the
// root of this repository.
const DefaultFolder = "../shared/vectors"

// Folder is the folder of vectors to use; root is the root of this repository,
// to which a relative one refers.
func Folder(root string) string {
	folder := os.Getenv(Environment)
	if folder == "" {
		folder = DefaultFolder
	}
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(root, folder)
	}
	return folder
}

// String is a line per case, with a further line per note when it did not pass.
func (r Result) String() string {
	text := fmt.Sprintf("%s %3d %s", r.Verdict, r.Case.Index, r.Case.Name)
	for _, note := range r.Notes {
		if r.Verdict == Passed {
			text += " (" + note + ")"
		} else {
			text += "\n         " + note
		}
	}
	return text
}
