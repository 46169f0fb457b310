// Package eventlog owns a file of lease events for other programs to read: one
// JSON object in a line for each event, in order, each event once. The file
// rotates by itself: when it is full it is renamed to its name with the time and
// the sequence of its last event, and old ones are removed by age and number.
//
// The sequence in the last line is what makes each event appear once: events
// that come again after a crash are skipped, and half a line is cut off.
package eventlog
