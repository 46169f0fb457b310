// Package vppdrv owns the data plane on FD.io VPP: it connects to a VPP over its
// binary API, supervises it, makes around its MAP plugin what a lwAFTR needs,
// programs softwires and reads them back, and takes care of the packets that
// VPP hands over.
//
// The parts that know VPP are below it: vppapi the connection, script command
// lines, ports the interfaces, topology what is around the MAP plugin, plan what
// is in it, stats the counters, punt the socket for exceptions.
package vppdrv
