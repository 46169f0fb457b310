// Package disk stands between a child process and the files of one folder, as
// the disk below them: every write, change of size, fsync and rename of the child
// waits until a Disk has let it through, made it fail, or killed the child in the
// middle of it. A Disk knows what was synced, and so can lose power: it leaves in
// a file what was, and of the rest whatever a disk might have got to.
//
// It works on the program as it is built, by the kernel's seccomp user
// notifications, which hand system calls to another process (Linux 5.7, and
// nobody that forbids them).
package disk
