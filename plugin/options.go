package plugin

import (
	"context"
	"net"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/bgp"
	"github.com/lwaftr/lw4o6/bgp/feed"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Option replaces one of the things that a Plugin needs of the outside.
type Option func(*options)

type options struct {
	name      string
	version   string
	file      string
	folder    string
	log       logrus.FieldLogger
	logConfig func(LogConfig)
	now       func() time.Time
	dataplane func(DataplaneConfig, logrus.FieldLogger) (dataplane.Dataplane, error)
	listen    func(context.Context, control.Config) ([]net.Listener, error)
	speakers  func(bgp.Config, logrus.FieldLogger) (Speakers, error)
	// dhcpv6Port is another one in tests, which may not use that of servers.
	dhcpv6Port uint16
}

// WithName sets what Name returns; "lw4o6" otherwise.
func WithName(name string) Option { return func(o *options) { o.name = name } }

// WithVersion sets the version that the status shows.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }

// WithFile says which file the Config was read from, so that a reload that is
// asked for over the control socket can read it again. Without it there are no
// such reloads. Relative paths in the Config are taken from the file's folder.
func WithFile(f *File) Option {
	return func(o *options) { o.file, o.folder = f.Path, f.Folder() }
}

// WithFolder says what relative paths in the Config are relative to; the
// working directory otherwise.
func WithFolder(folder string) Option { return func(o *options) { o.folder = folder } }

// WithLogger sets the logger; nothing is logged otherwise.
func WithLogger(log logrus.FieldLogger) Option { return func(o *options) { o.log = log } }

// WithLogConfig sets a function that takes the Config's log section when a
// reload changes it. Without it such a change has no effect.
func WithLogConfig(apply func(LogConfig)) Option { return func(o *options) { o.logConfig = apply } }

// WithClock sets the clock.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// WithDataplane sets what makes the data plane, in place of the one that the
// Config names. make has no side effects either: a data plane that needs
// devices has the methods of Opener.
func WithDataplane(make func(DataplaneConfig, logrus.FieldLogger) (dataplane.Dataplane, error)) Option {
	return func(o *options) { o.dataplane = make }
}

// WithListeners sets what makes the listeners of the control API.
func WithListeners(listen func(context.Context, control.Config) ([]net.Listener, error)) Option {
	return func(o *options) { o.listen = listen }
}

// WithSpeakerProgram says what the processes run that speak BGP: what
// speaker.Main returned, which the program has called first of all. Without it a
// Config with peers is refused.
func WithSpeakerProgram(program feed.Program) Option {
	return func(o *options) { o.speakers = newSpeakers(program) }
}

// WithSpeakers sets what tells peers of routes, in place of package bgp.
func WithSpeakers(make func(bgp.Config, logrus.FieldLogger) (Speakers, error)) Option {
	return func(o *options) { o.speakers = make }
}

// Opener is implemented by data planes that need something of the outside, such
// as devices, before they run. Open is called once before Run, and Close once
// after it, or after a later step of the start failed.
type Opener interface {
	Open(ctx context.Context) error
	Close()
}

// Tuner is implemented by data planes that take changed settings while they
// run. An error means that nothing was changed. Which settings cannot change
// while it runs is what Fixed says, as elements below the data plane's.
type Tuner interface {
	Tune(DataplaneConfig) error
	Fixed() []string
}
