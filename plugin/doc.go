// Package plugin composes the whole router from one Config and runs it, alone
// or inside a host. It is the only package under plugin/ that knows all others.
//
// A Plugin is made by New, which has no side effects, started once by Start,
// which returns when everything runs, and ended by Stop. Run does all of it and
// blocks. What it needs of the outside (data plane, clock, logger, listener) can
// be replaced by options.
package plugin
