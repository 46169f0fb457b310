package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
)

// tcp measures TCP between a subscriber's host and one in the Internet, through
// the CPE, the softwire and the lwAFTR, beside the same hosts and links where
// the kernels of all nodes route IPv4 without a tunnel and without a NAT.
func (s scale) tcp(ctx context.Context) ([]spec, func() error, error) {
	binaries := scene.In(s.binaries)
	if err := errors.Join(netlab.Available(), netlab.Installed("iperf3", "iperf3"), built(binaries.Lwaftr, binaries.Lwb4)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	var scenes []*scene.Scene
	closeAll := func() error {
		var errs []error
		for _, sc := range scenes {
			errs = append(errs, sc.Close())
		}
		return errors.Join(errs...)
	}
	open := func(o scene.Options) (*path, error) {
		sc, err := scene.Start(ctx, o)
		if err != nil {
			return nil, err
		}
		scenes = append(scenes, sc)
		return newPath(ctx, sc, s.tcpTime)
	}
	plain, err := open(scene.Options{Plain: true})
	if err != nil {
		return nil, closeAll, fmt.Errorf("without a tunnel: %w", err)
	}
	var specs []spec
	for _, devices := range []scene.Devices{scene.DevicesTUN, scene.DevicesPacket} {
		softwire, err := open(scene.Options{Binaries: binaries, Devices: devices})
		if err != nil {
			return nil, closeAll, fmt.Errorf("with %s devices: %w", devices, err)
		}
		const peer = "kernel, no tunnel"
		specs = append(specs,
			spec{name: fmt.Sprintf("tcp-download-%s", devices), unit: "Gbit/s", ours: softwire.download, peer: peer, theirs: plain.download},
			spec{name: fmt.Sprintf("tcp-upload-%s", devices), unit: "Gbit/s", ours: softwire.upload, peer: peer, theirs: plain.upload})
	}
	return specs, closeAll, nil
}

// path is a scene with an iperf3 server in the Internet.
type path struct {
	scene *scene.Scene
	while time.Duration
}

func newPath(ctx context.Context, sc *scene.Scene, while time.Duration) (*path, error) {
	server, err := sc.Internet.Start("iperf3", "--server", "--forceflush")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(server.Output(), "listening") {
		select {
		case <-tick.C:
		case <-server.Done():
			return nil, fmt.Errorf("iperf3 server ended: %w\n%s", server.Wait(), server.Output())
		case <-ctx.Done():
			return nil, fmt.Errorf("iperf3 server does not listen: %w\n%s", ctx.Err(), server.Output())
		}
	}
	return &path{sc, while}, nil
}

func (p *path) download(ctx context.Context) (float64, error) { return p.measure(ctx, "--reverse") }

func (p *path) upload(ctx context.Context) (float64, error) { return p.measure(ctx) }

// measure runs an iperf3 client in the subscriber's LAN and returns what the
// receiver got, in Gbit/s.
func (p *path) measure(ctx context.Context, args ...string) (float64, error) {
	seconds := strconv.FormatFloat(p.while.Seconds(), 'f', -1, 64)
	client, err := p.scene.Hosts[0].Start("iperf3", append([]string{
		"--client", scene.ServerAddr.String(), "--json", "--time", seconds, "--connect-timeout", "5000",
	}, args...)...)
	if err != nil {
		return 0, err
	}
	late := time.NewTimer(p.while + 20*time.Second)
	defer late.Stop()
	select {
	case <-client.Done():
	case <-late.C:
		return 0, errors.Join(errors.New("iperf3 does not end"), client.Stop())
	case <-ctx.Done():
		return 0, errors.Join(ctx.Err(), client.Stop())
	}
	// iperf3 says what went wrong in its output, whatever its exit code is.
	return received(client.Output())
}

// received reads what the receiver of a test got, in Gbit/s, from iperf3's JSON.
func received(output string) (float64, error) {
	var result struct {
		Error string `json:"error"`
		End   struct {
			SumReceived struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(output), &result); err != nil {
		return 0, fmt.Errorf("iperf3: %w: %.200s", err, output)
	}
	if result.Error != "" {
		return 0, fmt.Errorf("iperf3: %s", result.Error)
	}
	if result.End.SumReceived.BitsPerSecond <= 0 {
		return 0, errors.New("iperf3: nothing was received")
	}
	return result.End.SumReceived.BitsPerSecond / 1e9, nil
}
