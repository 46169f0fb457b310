// Package script owns the execution of VPP's command lines over its API: many
// lines in one message, and several messages on their way at once.
//
// A line costs VPP about a microsecond, a tenth of what a message costs. While
// VPP executes a script it handles no other message. It holds up its workers
// for each line that changes something, but not between them: with workers,
// packets pass between two lines.
package script
