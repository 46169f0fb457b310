package imports

import (
	"fmt"
	"strings"
)

const module = "github.com/lwaftr/lw4o6"

// listed is what the checks need of `go list -json`.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string // everything imported, also through others
}

// check returns one line per violation of rules by packages.
func check(rules []rule, packages []listed) []string {
	var found []string
	for _, p := range packages {
		pkg, _ := own(p.ImportPath)
		r, ok := ruleFor(rules, pkg)
		if !ok {
			found = append(found, fmt.Sprintf("%s: no rule; add it to the table and say what it may import", pkg))
			continue
		}
		found = append(found, checkImports(r, pkg, p.Imports)...)
		found = append(found, checkTests(pkg, p.TestImports)...)
		found = append(found, checkTests(pkg, p.XTestImports)...)
		if r.core {
			found = append(found, checkDeps(pkg+" is core", p.Deps, outsideCore)...)
		}
		found = append(found, checkDeps(pkg+" has a rule against it", p.Deps, r.without)...)
	}
	return found
}

// checkImports holds the direct imports of pkg against its rule.
func checkImports(r rule, pkg string, imports []string) []string {
	var found []string
	for _, path := range imports {
		imported, ours := own(path)
		switch {
		case ours && matchAny(leaves, imported) && !r.stdOnly:
		case ours && (!matchAny(r.may, imported) || climbs(pkg, imported)):
			found = append(found, fmt.Sprintf("%s imports %s, which its rule does not allow", pkg, imported))
		case !ours && r.stdOnly && !standard(path):
			found = append(found, fmt.Sprintf("%s imports %s, but is to use the standard library only", pkg, path))
		}
	}
	return found
}

// checkTests holds the imports of the tests of pkg against the rules that
// tests have.
func checkTests(pkg string, imports []string) []string {
	var found []string
	for _, path := range imports {
		if imported, ours := own(path); ours && climbs(pkg, imported) {
			found = append(found, fmt.Sprintf("%s has a test that imports %s, which nothing outside imports", pkg, imported))
		}
	}
	return found
}

// checkDeps looks for what a package never depends on.
func checkDeps(pkg string, deps, never []string) []string {
	var found []string
	for _, path := range deps {
		for _, prefix := range never {
			if path == prefix || strings.HasPrefix(path, prefix+"/") {
				found = append(found, fmt.Sprintf("%s and depends on %s", pkg, path))
			}
		}
	}
	return found
}

// climbs reports whether pkg reaches into a top folder that it is not in.
func climbs(pkg, imported string) bool {
	return matchAny(tops, imported) && !matchAny(tops, pkg)
}

// ruleFor returns the first rule that matches pkg.
func ruleFor(rules []rule, pkg string) (rule, bool) {
	for _, r := range rules {
		if match(r.pkg, pkg) {
			return r, true
		}
	}
	return rule{}, false
}

// own returns the path within this module, if it is of this module.
func own(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// standard reports whether path is of the standard library: the first element
// of every other import path is a domain name.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func matchAny(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if match(p, pkg) {
			return true
		}
	}
	return false
}

// match reports whether pkg is what pattern names: itself, or with "/..." also
// everything below; "..." is everything.
func match(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	dir, below := strings.CutSuffix(pattern, "/...")
	return pkg == dir || below && strings.HasPrefix(pkg, dir+"/")
}
