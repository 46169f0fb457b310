package bgp

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/bgp/speaker"
)

// The test's program is also the router that it looks at, and the speakers of
// that.
func TestMain(m *testing.M) {
	program := speaker.Main()
	if len(os.Args) == 4 && os.Args[1] == routerCommand {
		if err := runRouter(program, os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// These tests wait for timers most of the time.
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
