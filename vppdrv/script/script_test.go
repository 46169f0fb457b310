package script

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t *testing.T) *vppapi.Conn {
	t.Helper()
	v := vpptest.Start(t, vpptest.Config{})
	conn, err := vppapi.Dial(t.Context(), v.API, "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("connection: %v", err)
		}
	})
	return conn
}

// TestRefused: the lines before a wrong one are executed, those after it not,
// and other scripts are none the worse for it.
func TestRefused(t *testing.T) {
	conn := dial(t)
	create := func(n int) string { return fmt.Sprintf("create loopback interface instance %d", n) }
	queue, err := Open(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	for _, lines := range [][]string{{create(0), "nonsense", create(1)}, {create(2)}} {
		if err := queue.Send(lines...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := queue.Receive(); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a script with a wrong line: %v", err)
	}
	if output, err := queue.Receive(); err != nil || output != "loop2\n" {
		t.Errorf("the next script: %q, %v", output, err)
	}
	output, err := Run(t.Context(), conn, "show interface")
	if err != nil || !strings.Contains(output, "loop0") || strings.Contains(output, "loop1") || !strings.Contains(output, "loop2") {
		t.Errorf("interfaces: %v\n%s", err, output)
	}
}

// TestOrder: answers come in the order of the scripts, however many there are.
func TestOrder(t *testing.T) {
	conn := dial(t)
	queue, err := Open(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	received := 0
	receive := func() {
		t.Helper()
		output, err := queue.Receive()
		if want := fmt.Sprintf("%d\n", received); err != nil || output != want {
			t.Fatalf("output %q, %v, want %q", output, err, want)
		}
		received++
	}
	for i := range 3 * ahead {
		if queue.Full() {
			receive()
		}
		if err := queue.Send(fmt.Sprintf("echo %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if queue.Pending() != ahead {
		t.Errorf("%d scripts are pending", queue.Pending())
	}
	for queue.Pending() > 0 {
		receive()
	}
	if received != 3*ahead {
		t.Errorf("%d scripts ran", received)
	}
}

func TestRunAll(t *testing.T) {
	conn := dial(t)
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("set interface tag local0 t%d", i))
	}
	if err := RunAll(t.Context(), conn, lines, 3); err != nil {
		t.Fatal(err)
	}
	if output, err := Run(t.Context(), conn, "show interface tag local0"); err != nil || !strings.Contains(output, "t99") {
		t.Errorf("the last line: %q, %v", output, err)
	}
	if err := RunAll(t.Context(), conn, append(lines, "nonsense"), 3); !errors.Is(err, ErrRefused) {
		t.Errorf("with a wrong line: %v", err)
	}
}
