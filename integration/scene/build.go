package scene

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Binaries are the paths of the commands that the scene runs.
type Binaries struct{ Lwaftr, Lwb4, Coredhcp string }

// In is the binaries in a folder that holds them under their names.
func In(folder string) Binaries {
	return Binaries{filepath.Join(folder, "lwaftr"), filepath.Join(folder, "lwb4"), filepath.Join(folder, "coredhcp")}
}

// Build compiles the commands into folder. The current folder must be in the
// module. Flags are those of `go build`, such as -race.
func Build(ctx context.Context, folder string, flags ...string) (Binaries, error) {
	const examples = "github.com/lwaftr/lw4o6/examples/"
	b := In(folder)
	for path, command := range map[string]string{b.Lwaftr: "lwaftr", b.Lwb4: "lwb4", b.Coredhcp: "coredhcp"} {
		args := append([]string{"build", "-o", path}, flags...)
		out, err := exec.CommandContext(ctx, "go", append(args, examples+command)...).CombinedOutput()
		if err != nil {
			return Binaries{}, fmt.Errorf("build %s: %w\n%s", command, err, out)
		}
	}
	return b, nil
}
