package plugin

import (
	"errors"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// LogConfig is what is logged, and how. It is for whoever owns the logger: a
// Plugin only hands it on (see WithLogConfig).
type LogConfig struct {
	Level  string    `yaml:"level"` // error, warning, info, debug or trace
	Format LogFormat `yaml:"format"`
}

// LogFormat is how a line of the log looks.
type LogFormat string

// The formats of a log.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Validate reports what is wrong with c.
func (c LogConfig) Validate() error {
	var errs []error
	if level, err := logrus.ParseLevel(c.Level); err != nil || level < logrus.ErrorLevel {
		errs = append(errs, element.Errorf("level", "%q is neither error, warning, info, debug nor trace", c.Level))
	}
	if c.Format != LogText && c.Format != LogJSON {
		errs = append(errs, element.Errorf("format", "%q is neither %s nor %s", c.Format, LogText, LogJSON))
	}
	return errors.Join(errs...)
}

// Apply makes log follow c, which Validate accepts.
func (c LogConfig) Apply(log *logrus.Logger) {
	if level, err := logrus.ParseLevel(c.Level); err == nil {
		log.SetLevel(level)
	}
	if c.Format == LogJSON {
		log.SetFormatter(&logrus.JSONFormatter{})
	} else {
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	}
}
