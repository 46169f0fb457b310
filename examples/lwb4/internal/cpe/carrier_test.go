package cpe

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/settings"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/status"
)

// TestWithoutServer: a CPE that nobody answers says so, and ends when it is told to.
func TestWithoutServer(t *testing.T) {
	for _, source := range []settings.Source{settings.SourceDHCPv6, settings.SourcePCP} {
		t.Run(string(source), func(t *testing.T) {
			node, _ := home(t)
			before := stateOf(t, node)
			c := valid()
			c.Source, c.DHCPv6.Interface = source, "wan0"
			c.PCP.B4, c.PCP.AFTRs = c.Softwire.B4, append(c.PCP.AFTRs, c.Softwire.BR)
			c.Status.Socket = filepath.Join(t.TempDir(), "lwb4.sock")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			logger := logrus.New()
			logger.SetOutput(t.Output())
			ended := make(chan error, 1)
			go func() { ended <- node.Do(func() error { return Run(ctx, c, logger) }) }()
			var s status.Status
			for s.State == "" {
				var err error
				if s, err = status.Read(ctx, c.Status.Socket); err != nil && ctx.Err() != nil {
					t.Fatal(err)
				}
			}
			want := provision.Waiting.String()
			if source == settings.SourcePCP {
				want = provision.Asking.String()
			}
			if s.State != want || len(s.Sets) != 0 {
				t.Errorf("status %+v, want it %s", s, want)
			}
			cancel()
			must(t, <-ended)
			if after := stateOf(t, node); !after.same(before) {
				t.Errorf("left behind: %+v, before: %+v", after, before)
			}
		})
	}
}

// TestFatalErrorEndsTheCPE: also while the DHCPv6 client runs.
func TestFatalErrorEndsTheCPE(t *testing.T) {
	node, _ := home(t)
	c := valid()
	c.Source, c.DHCPv6.Interface = settings.SourceDHCPv6, "wan0"
	logger := logrus.New()
	logger.SetOutput(t.Output())
	must(t, node.Do(func() error {
		cpe := newCPE(c, logger, nil)
		if err := cpe.openCarrier(t.Context()); err != nil {
			return err
		}
		cpe.fatal <- context.DeadlineExceeded
		if err := cpe.run(t.Context()); err != context.DeadlineExceeded {
			t.Errorf("ended with %v", err)
		}
		return cpe.closeCarrier()
	}))
}
