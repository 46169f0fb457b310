package lw4o6

import (
	"context"
	"errors"
	"fmt"

	"github.com/coredhcp/coredhcp/handler"
	"github.com/coredhcp/coredhcp/logger"
	"github.com/coredhcp/coredhcp/plugins"
	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Plugin is what a coredhcp server registers.
var Plugin = plugins.Plugin{Name: "lw4o6", Setup6: setup6}

// setup6 is called by coredhcp for each use of the plugin in its configuration.
// Nothing tells the plugin that the process ends, and nothing needs to: what was
// answered is durable.
func setup6(args ...string) (handler.Handler6, error) {
	if len(args) != 1 {
		return nil, errors.New("lw4o6: takes one argument, the path of its configuration file")
	}
	c, err := LoadFile(args[0])
	if err != nil {
		return nil, fmt.Errorf("lw4o6: %w", err)
	}
	log := logger.GetLogger("plugins/lw4o6")
	instance, err := Start(context.Background(), c, log)
	if err != nil {
		return nil, fmt.Errorf("lw4o6: %w", err)
	}
	go func() {
		if err := instance.Wait(); err != nil {
			log.WithError(err).Error("stopped: nothing is delegated any more; restart coredhcp")
		}
	}()
	return instance.Handle, nil
}

// Handle is a handler of coredhcp. It answers nothing once the Instance has ended.
func (i *Instance) Handle(req, resp dhcpv6.DHCPv6) (dhcpv6.DHCPv6, bool) {
	if i.ctx.Err() != nil {
		return nil, true
	}
	return i.server.Answer(i.ctx, "", req, resp)
}
