package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// JSON is nearly YAML, but not quite (its escapes of characters beyond the first plane, objects one after the
// other), so it is read as what it is, into the same nodes.

// parseJSON reads JSON objects that follow each other.
func parseJSON(name string, data []byte) ([]Document, *Problem) {
	r := &jsonReader{dec: json.NewDecoder(bytes.NewReader(data)), data: data, starts: lineStarts(data)}
	r.dec.UseNumber()
	var docs []Document
	for {
		node, err := r.value(0)
		switch {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			line, column := r.position(r.next())
			return nil, &Problem{File: name, Line: line, Column: column, Message: "not JSON: " + err.Error()}
		case node.Kind != yaml.MappingNode:
			return nil, &Problem{File: name, Line: node.Line, Column: node.Column,
				Message: fmt.Sprintf("a document must be an object with apiVersion and kind, got %s", kindOf(node))}
		}
		docs = append(docs, newDocument(name, node))
	}
}

// maxDepth is how deep objects and lists may nest: what the YAML and the JSON library allow.
const maxDepth = 10_000

var errTooDeep = errors.New("nested too deep")

type jsonReader struct {
	dec    *json.Decoder
	data   []byte
	starts []int // offset of each line
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	start := r.next()
	tok, err := r.dec.Token()
	if err != nil {
		if depth > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if depth > maxDepth {
		return nil, errTooDeep
	}
	n := &yaml.Node{Kind: yaml.ScalarNode}
	n.Line, n.Column = r.position(start)
	switch tok := tok.(type) {
	case json.Delim:
		return n, r.content(n, tok, depth)
	case string:
		n.Tag, n.Value, n.Style = "!!str", tok, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!float", tok.String()
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(tok)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// content reads the members of an object or a list up to its end.
func (r *jsonReader) content(n *yaml.Node, open json.Delim, depth int) error {
	n.Kind, n.Tag, n.Style = yaml.SequenceNode, "!!seq", yaml.FlowStyle
	if open == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	for r.dec.More() {
		child, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := r.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// next returns the offset of the next token.
func (r *jsonReader) next() int {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	return at
}

// position returns the line and column of an offset, counted from 1.
func (r *jsonReader) position(offset int) (line, column int) {
	offset = min(max(offset, 0), len(r.data))
	line = sort.SearchInts(r.starts, offset+1)
	return line, utf8.RuneCount(r.data[r.starts[line-1]:offset]) + 1
}
