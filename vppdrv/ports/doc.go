// Package ports owns the interfaces of VPP by which the packets of both sides
// come in and leave: it finds them by name, brings them up, and gives them what
// the configuration lists: VLAN sub-interfaces, FIB tables, addresses and
// default routes.
//
// What is listed is ours: it is made where it is missing, made again after VPP
// was restarted, and taken away by Remove. What is not listed is the operator's
// and is left alone. Sub-interfaces and tables have no owner in a
// configuration, since others may use them too: those that Ensure made have our
// mark, and Remove takes only these away.
package ports
