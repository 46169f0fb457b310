package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// maxDepth bounds how deep values nest. Our deepest element is at 6; the
// parser's work grows with the square of the depth.
const maxDepth = 32

// parseYAML reads one document. All contact with the YAML library is here.
func parseYAML(file string, data []byte) (*node, Errors) {
	c := converter{file: file}
	if !utf8.Valid(data) {
		c.fail(1+strings.Count(string(validPart(data)), "\n"), "", "not a text file in UTF-8")
		return nil, c.errs
	}
	tokens := lexer.Tokenize(string(data))
	if line := tooDeep(tokens); line > 0 {
		c.fail(line, "", "values nest deeper than %d", maxDepth)
		return nil, c.errs
	}
	// Repeated keys are refused below, all of them and with their path.
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		c.syntax(err)
		return nil, c.errs
	}
	root := &node{kind: empty, line: 1}
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if root.kind != empty {
			c.fail(line(doc.Body), "", "a second document; a file holds one")
			break
		}
		root = c.convert(doc.Body, "", 0)
	}
	return root, c.errs
}

// converter turns the library's tree into nodes and notes what is refused.
type converter struct {
	file string
	errs Errors
}

func (c *converter) fail(line int, path, format string, args ...any) {
	c.errs = append(c.errs, &Error{c.file, line, path, fmt.Errorf(format, args...)})
}

// syntax notes the library's error without the excerpt it prints with it.
func (c *converter) syntax(err error) {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		c.fail(e.GetToken().Position.Line, "", "not YAML: %s", e.GetMessage())
		return
	}
	c.fail(0, "", "not YAML: %s", err)
}

func (c *converter) convert(n ast.Node, path string, depth int) *node {
	to := &node{line: line(n)}
	if depth > maxDepth {
		c.fail(to.line, path, "values nest deeper than %d", maxDepth)
		return to
	}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		to.kind, to.text, to.plain = scalar, n.Value, n.Token.Type == token.StringType
	case *ast.LiteralNode:
		to.kind, to.text = scalar, n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		to.kind, to.text, to.plain = scalar, n.GetToken().Value, true
	case *ast.SequenceNode:
		to.kind = list
		for i, v := range n.Values {
			to.items = append(to.items, c.convert(v, element.Item(path, i), depth+1))
		}
	case *ast.MappingNode:
		to.kind = mapping
		for _, v := range n.Values {
			c.entry(to, v, path, depth)
		}
	case *ast.MappingValueNode:
		to.kind = mapping
		c.entry(to, n, path, depth)
	case *ast.AnchorNode, *ast.AliasNode:
		to.kind = refused
		c.fail(to.line, path, "anchors and aliases are not read; write the value out")
	case *ast.TagNode:
		to.kind = refused
		c.fail(to.line, path, "tags such as %s are not read", n.Start.Value)
	default:
		to.kind = refused
		c.fail(to.line, path, "not understood here")
	}
	return to
}

func (c *converter) entry(to *node, v *ast.MappingValueNode, path string, depth int) {
	at := line(v.Key)
	var key string
	switch k := v.Key.(type) {
	case *ast.StringNode:
		key = k.Value
	case *ast.MergeKeyNode:
		c.fail(at, path, "merge keys are not read; write the values out")
		return
	default:
		if _, ok := v.Key.(ast.ScalarNode); !ok {
			c.fail(at, path, "a key must be a single word")
			return
		}
		key = v.Key.GetToken().Value
	}
	below := element.Join(path, key)
	if first, ok := to.get(key); ok {
		c.fail(at, below, "given twice, first in line %d", first.line)
		return
	}
	to.add(entry{key, at, c.convert(v.Value, below, depth+1)})
}

// line is where n starts; 0 if the library does not say.
func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// tooDeep returns the line where brackets or list dashes nest too deep, or 0.
func tooDeep(tokens token.Tokens) int {
	flow, dashes, dashLine := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			if t.Position.Line != dashLine {
				dashes, dashLine = 0, t.Position.Line
			}
			dashes++
		}
		if flow > maxDepth || dashes > maxDepth {
			return t.Position.Line
		}
	}
	return 0
}

// validPart is data up to its first byte that is not UTF-8.
func validPart(data []byte) []byte {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return data[:i]
		}
		i += size
	}
	return data
}
