package bundle

import (
	"fmt"
	"regexp"
	"time"

	"github.com/goccy/go-yaml"
)

// secret is the name of a key whose value nobody else may know.
var secret = regexp.MustCompile(`(?i)(password|passphrase|secret)$`)

// WithoutSecrets is a configuration without the values that nobody else may know,
// and without comments, which may say anything. The error is that of a text that
// is no YAML, of which nothing can be said.
func WithoutSecrets(text []byte) ([]byte, error) {
	var all yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(text, &all, yaml.UseOrderedMap()); err != nil {
		return nil, fmt.Errorf("the configuration is left out: %w", err)
	}
	return yaml.Marshal(masked(all))
}

// masked is a value of a YAML document with its secrets replaced.
func masked(value any) any {
	switch v := value.(type) {
	case yaml.MapSlice:
		for i := range v {
			// The encoder takes no other keys.
			key := fmt.Sprint(v[i].Key)
			v[i].Key = key
			if secret.MatchString(key) {
				v[i].Value = "removed"
			} else {
				v[i].Value = masked(v[i].Value)
			}
		}
	case []any:
		for i := range v {
			v[i] = masked(v[i])
		}
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return value
}
