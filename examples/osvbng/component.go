// Copyright 2026 The lw4o6 Authors
// SPDX-License-Identifier: GPL-3.0-or-later

package osvbng

import (
	"context"
	"errors"
	"fmt"

	"github.com/veesix-networks/osvbng/pkg/component"
	"github.com/veesix-networks/osvbng/pkg/configmgr"
	"github.com/veesix-networks/osvbng/pkg/logger"

	"github.com/lwaftr/lw4o6/plugin"
)

// Namespace is the plugin's name in osvbng: in the section plugins of its
// configuration, as a component, and before its show paths.
const Namespace = "lw4o6"

// Config is the plugin's section of osvbng's configuration.
type Config struct {
	// Enabled has the router run.
	Enabled bool `json:"enabled" yaml:"enabled"`
	// File is the path of the router's own configuration, which lwaftr check
	// checks.
	File string `json:"file" yaml:"file"`
}

func init() { Register(Namespace) }

// Register registers the plugin by a name, with options for the routers that it
// makes. The plugin Namespace is registered already. Like all registrations of
// osvbng it is called by an init function, and panics if the name is taken.
func Register(namespace string, options ...plugin.Option) {
	configmgr.RegisterPluginConfig(namespace, Config{})
	component.Register(namespace, func(component.Dependencies) (component.Component, error) {
		return newComponent(namespace, options)
	}, component.WithAuthor("lw4o6"))
	registerShow(namespace)
}

// Component is the router as a component of osvbng.
type Component struct{ *plugin.Plugin }

// newComponent makes the router that the configuration asks for; nil if it asks
// for none.
func newComponent(namespace string, options []plugin.Option) (component.Component, error) {
	section, ok := configmgr.GetPluginConfig(namespace)
	if !ok {
		return nil, nil
	}
	c, ok := section.(*Config)
	if !ok {
		return nil, fmt.Errorf("%s: the configuration is a %T", namespace, section)
	}
	if !c.Enabled {
		return nil, nil
	}
	f, err := plugin.LoadFile(c.File)
	if err != nil {
		return nil, err
	}
	options = append([]plugin.Option{
		plugin.WithName(namespace),
		plugin.WithFile(f),
		plugin.WithLogger(newLog(logger.Get(namespace))),
	}, options...)
	p, err := plugin.New(f.Config, options...)
	if err != nil {
		return nil, f.Locate(err)
	}
	return &Component{p}, nil
}

// Stop ends the router. osvbng stops all components when one could not start, and
// ends at the first error: one that was not started yet is none.
func (c *Component) Stop(ctx context.Context) error {
	if err := c.Plugin.Stop(ctx); !errors.Is(err, plugin.ErrNotRunning) {
		return err
	}
	return nil
}
