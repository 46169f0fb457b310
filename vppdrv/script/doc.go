// Package script owns the execution of VPP's command lines over its API: many
// lines in one message, and several messages on their way at once.
//
// A line costs VPP 26.06 one to two microseconds, a message of its own about
// four. While VPP executes a script it handles no other message. It holds up
// its workers for each line that changes something, but not between them: with
// workers, packets pass between two lines.
package script
