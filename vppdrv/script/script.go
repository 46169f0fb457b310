package script

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/vlib"
)

// ErrRefused reports a command line that VPP did not execute. Those before it
// in its script were executed, those after it not.
var ErrRefused = errors.New("VPP refuses a command line")

// Message is what this package needs VPP to know.
func Message() api.Message { return &vlib.CliInband{} }

// Run runs command lines in one message and returns what they printed. It ends
// at the first line that fails; the error wraps ErrRefused and says what VPP
// printed, or is that of the connection.
func Run(ctx context.Context, conn api.Connection, lines ...string) (output string, err error) {
	var reply vlib.CliInbandReply
	if err := conn.Invoke(ctx, message(lines), &reply); err != nil {
		return "", err
	}
	return judge(&reply)
}

func message(lines []string) *vlib.CliInband {
	return &vlib.CliInband{Cmd: strings.Join(lines, "\n") + "\n"}
}

func judge(reply *vlib.CliInbandReply) (output string, err error) {
	if reply.Retval != 0 {
		return "", fmt.Errorf("%w: %w: %s", ErrRefused, api.RetvalToVPPApiError(reply.Retval), strings.TrimSpace(reply.Reply))
	}
	return reply.Reply, nil
}

// RunAll runs lines in scripts of at most size lines, several at once. The
// error is the first one.
func RunAll(ctx context.Context, conn api.Connection, lines []string, size int) error {
	queue, err := Open(ctx, conn)
	if err != nil {
		return err
	}
	defer queue.Close()
	for part := range slices.Chunk(lines, size) {
		if queue.Full() {
			if _, err := queue.Receive(); err != nil {
				return err
			}
		}
		if err := queue.Send(part...); err != nil {
			return err
		}
	}
	for queue.Pending() > 0 {
		if _, err := queue.Receive(); err != nil {
			return err
		}
	}
	return nil
}
