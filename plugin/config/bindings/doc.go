// Package bindings owns static binding tables: those written into the router's
// configuration and those in files of their own, which are streamed, so that a
// million softwires cost no more memory than their table.
//
// The formats of a file are
//
//   - json: the binding-table of RFC 8676 ietf-softwire-br as RFC 7951 encodes
//     it, from any of the levels br-instances, binding, bind-instance,
//     binding-table or binding-entry down. Other leafs of the module are
//     skipped: they are settings, not bindings. psid-offset is 0 where it is
//     not given, as the module says.
//   - csv: RFC 4180 with a first row that names the columns, in any order, by
//     the keys below. Lines that begin with # are skipped.
//   - yaml: a list of the same items that the configuration's softwires.static
//     has, each in one line ({key: value, ...}) or with a line per key. No
//     other feature of YAML is read.
//
// The keys are leaf names of RFC 8676: binding-ipv4-addr, binding-ipv6info,
// psid-offset, psid-len, psid, br-ipv6-addr. What is not given comes from the
// pool that holds the address.
//
// Nothing of a table that has any error is used, and every error names the line.
package bindings
