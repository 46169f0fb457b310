package config

import "github.com/lwaftr/lw4o6/plugin/config/element"

// Problem is one problem of a configuration, for programs.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Element string `json:"element,omitempty"` // path of the element, such as "pools[0].name"
	Message string `json:"message"`
}

// Problems are those that err is made of, in order. What is not known of one is
// empty. The list is empty for nil, and never nil, which programs take for no list.
func Problems(err error) []Problem {
	all := []Problem{}
	for _, e := range element.Each(err) {
		p := Problem{Message: e.Error()}
		switch e := e.(type) {
		case *Error:
			p = Problem{File: e.File, Line: e.Line, Element: e.Element, Message: e.Err.Error()}
		case *element.Error:
			p = Problem{Element: e.Path, Message: e.Err.Error()}
		}
		all = append(all, p)
	}
	return all
}
