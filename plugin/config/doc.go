// Package config owns the reading of configuration files: strict YAML onto the
// structs that other packages declare, and errors that name file, line and
// element. It knows none of those structs.
//
// A struct says its keys with `yaml:"key"` tags; a field without one is not
// configurable. The tag `config:"required"` makes a missing key an error. A
// value that the file leaves out keeps what the struct held before, which is
// how defaults work: the caller passes a struct that is filled with them, and
// an item of a list has them filled in by its SetDefaults method if it has one.
//
// Strict means: unknown and repeated keys, anchors, aliases, tags, merge keys,
// several documents and numbers in other notations than decimal are refused,
// and every error of a file is reported, not only the first. What a file holds
// is bounded in size and depth.
package config
