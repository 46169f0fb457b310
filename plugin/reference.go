package plugin

import _ "embed"

// reference.yaml is kept beside the code that it describes; the tests hold it
// against every key and every default.
//
//go:embed reference.yaml
var reference string

// Reference is a commented configuration file with every key, that can be
// loaded as it is.
func Reference() string { return reference }
