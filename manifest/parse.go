package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	utf "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	"gopkg.in/yaml.v3"
	kyaml "sigs.k8s.io/yaml"
)

// Document is one object of a manifest.
type Document struct {
	// Name is the file's name as given to Parse.
	Name string
	// Line is where the document's first key stands, counted from 1.
	Line int
	// Node is the document's mapping. Its aliases are known to be finite: no anchor contains itself.
	Node *yaml.Node
	// APIVersion and Kind are empty where the document has none, or none that is a string.
	APIVersion, Kind string
}

// Parse reads a file of YAML or JSON documents. Documents that are empty or hold only comments are left out. A
// document with a syntax problem is left out too, and the problem returned; the others are read all the same. The
// name is used in messages only. Text may be UTF-8, or UTF-16 with a byte order mark.
func Parse(name string, data []byte) ([]Document, []Problem) {
	text, _, err := transform.Bytes(utf.BOMOverride(utf.UTF8.NewDecoder()), data)
	if err != nil {
		return nil, []Problem{{File: name, Line: 1, Column: 1, Message: fmt.Sprintf("cannot be read as text: %v", err)}}
	}
	if !looksLikeJSON(text) {
		return parseYAML(name, text)
	}
	docs, problem := parseJSON(name, text)
	if problem == nil {
		return docs, nil
	}
	// A YAML file may begin with "{" too.
	docs, problems := parseYAML(name, text)
	if len(problems) > 0 && strings.HasSuffix(name, ".json") {
		return nil, []Problem{*problem}
	}
	return docs, problems
}

func looksLikeJSON(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeftFunc(text, unicode.IsSpace), []byte("{"))
}

func parseYAML(name string, text []byte) (docs []Document, problems []Problem) {
	chunks, problems := split(name, text)
	for _, c := range chunks {
		if c.cut {
			continue
		}
		node, faults := c.parse()
		for _, f := range faults {
			f.File = name
			problems = append(problems, f)
		}
		if node != nil && len(faults) == 0 {
			docs = append(docs, newDocument(name, node))
		}
	}
	sortByPosition(problems)
	return docs, problems
}

func newDocument(name string, node *yaml.Node) Document {
	d := Document{Name: name, Line: node.Line, Node: node}
	if n := lookup(node, "apiVersion"); n != nil {
		d.APIVersion = stringOf(n)
	}
	if n := lookup(node, "kind"); n != nil {
		d.Kind = stringOf(n)
	}
	return d
}

// chunk is the text between two "---" lines.
type chunk struct {
	text []byte
	line int  // of the text's first line, counted from 0
	cut  bool // its beginning stands on the "---" line, where kubectl does not read it
}

const (
	separator      = "---"
	secondDocument = `a second document must be separated by a line "---"`
)

// split cuts a file at every line that begins with "---". That is kubectl's rule and cruder than YAML's.
func split(name string, text []byte) (chunks []chunk, problems []Problem) {
	start, next := 0, chunk{}
	for at, line := 0, 0; at < len(text); line++ {
		end := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if rest, ok := bytes.CutPrefix(text[at:end], []byte(separator)); ok {
			next.text = text[start:at]
			chunks = append(chunks, next)
			start, next = end, chunk{line: line + 1}
			if rest = bytes.TrimSpace(rest); len(rest) > 0 && rest[0] != '#' {
				next.cut = true
				problems = append(problems, Problem{File: name, Line: line + 1, Column: len(separator) + 1,
					Message: fmt.Sprintf("only a comment may follow %q on its line, got %q", separator, shorten(string(rest)))})
			}
		}
		at = end
	}
	next.text = text[start:]
	return append(chunks, next), problems
}

// parse returns the chunk's mapping; nil without a problem if the chunk is empty.
func (c chunk) parse() (*yaml.Node, []Problem) {
	c.text = withoutLastDirectives(c.text)
	if problem, ok := c.directive(); ok {
		return nil, []Problem{problem}
	}
	docs, err := decode(bytes.NewReader(c.text))
	if err != nil {
		return nil, []Problem{c.syntaxProblem(err)}
	}
	if len(docs) > 1 {
		second := docs[1].Content[0]
		return nil, []Problem{{Line: c.line + second.Line, Column: second.Column, Message: secondDocument}}
	}
	if len(docs) == 0 {
		return nil, nil
	}
	node := docs[0].Content[0]
	shift(node, c.line)
	switch {
	case kindOf(node) == null:
		return nil, nil
	case node.Kind != yaml.MappingNode:
		return nil, []Problem{{Line: node.Line, Column: node.Column,
			Message: fmt.Sprintf("a document must be a mapping with apiVersion and kind, got %s", kindOf(node))}}
	}
	if faults := unsound(node); len(faults) > 0 {
		return node, faults
	}
	// Our reader, which knows positions, is of a newer make than kubectl's: both must agree to read the text.
	if _, err := kyaml.YAMLToJSON(c.text); err != nil {
		return node, []Problem{{Line: node.Line, Column: node.Column, Message: plainMessage(err)}}
	}
	return node, nil
}

// directive finds a line such as "%YAML 1.2" at the beginning, which is YAML, but not what kubectl reads.
func (c chunk) directive() (Problem, bool) {
	line := c.line
	for text := range bytes.Lines(c.text) {
		line++
		switch text = bytes.TrimSpace(text); {
		case bytes.HasPrefix(text, []byte("%")):
			name, _, _ := bytes.Cut(text, []byte(" "))
			return Problem{Line: line, Column: 1, Message: fmt.Sprintf("kubectl does not read the directive %q: remove this line", shorten(string(name)))}, true
		case len(text) > 0 && text[0] != '#':
			return Problem{}, false
		}
	}
	return Problem{}, false
}

// withoutLastDirectives cuts off directives after the end of a document, a line "...". They are the next document's,
// and kubectl reads no further.
func withoutLastDirectives(text []byte) []byte {
	end, at, found := -1, 0, false
	for line := range bytes.Lines(text) {
		at += len(line)
		switch trimmed := bytes.TrimSpace(line); {
		case bytes.HasPrefix(line, []byte("...")):
			end, found = at, false
		case bytes.HasPrefix(line, []byte("%")):
			found = true
		case len(trimmed) > 0 && trimmed[0] != '#':
			end = -1
		}
	}
	if end < 0 || !found {
		return text
	}
	return text[:end]
}

// decode reads all documents of a stream. The library reports some malformed input by panicking with a text that
// asks to be reported; to a user that is a syntax error like any other.
func decode(r io.Reader) (docs []*yaml.Node, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("unreadable YAML: %v", v)
		}
	}()
	dec := yaml.NewDecoder(r)
	for {
		doc := new(yaml.Node)
		switch err := dec.Decode(doc); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return docs, err
		}
		if len(doc.Content) > 0 {
			docs = append(docs, doc)
		}
	}
}

// shift moves a node and all below it down by some lines.
func shift(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		shift(c, lines)
	}
}
