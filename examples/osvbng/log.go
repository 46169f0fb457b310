// Copyright 2026 The lw4o6 Authors
// SPDX-License-Identifier: GPL-3.0-or-later

package osvbng

import (
	"io"
	"maps"
	"slices"

	"github.com/sirupsen/logrus"
	"github.com/veesix-networks/osvbng/pkg/logger"
)

// newLog is a logger for the router whose lines go to one of osvbng, which decides
// by its own levels what is shown.
func newLog(to *logger.Logger) logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.DebugLevel)
	log.AddHook(forward{to})
	return log
}

// forward is a logrus.Hook.
type forward struct{ to *logger.Logger }

// Levels implements logrus.Hook.
func (forward) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (f forward) Fire(e *logrus.Entry) error {
	var fields []any
	for _, key := range slices.Sorted(maps.Keys(e.Data)) {
		fields = append(fields, key, e.Data[key])
	}
	switch e.Level {
	case logrus.DebugLevel, logrus.TraceLevel:
		f.to.Debug(e.Message, fields...)
	case logrus.InfoLevel:
		f.to.Info(e.Message, fields...)
	case logrus.WarnLevel:
		f.to.Warn(e.Message, fields...)
	default:
		f.to.Error(e.Message, fields...)
	}
	return nil
}
