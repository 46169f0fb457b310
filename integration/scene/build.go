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
	b := In(folder)
	for _, path := range []string{b.Lwaftr, b.Lwb4, b.Coredhcp} {
		if err := build(ctx, path, flags); err != nil {
			return Binaries{}, err
		}
	}
	return b, nil
}

// WithLwaftr is b with a lwaftr that is compiled into folder as by Build.
func (b Binaries) WithLwaftr(ctx context.Context, folder string, flags ...string) (Binaries, error) {
	b.Lwaftr = In(folder).Lwaftr
	return b, build(ctx, b.Lwaftr, flags)
}

// build compiles the command that a path is named after.
func build(ctx context.Context, path string, flags []string) error {
	const examples = "github.com/lwaftr/lw4o6/examples/"
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.CommandContext(ctx, "go", append(args, examples+filepath.Base(path))...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", path, err, out)
	}
	return nil
}
