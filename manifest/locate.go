package manifest

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The YAML library names a line in its syntax errors, often that of the enclosing mapping rather than that of the
// fault, and never a column. Two facts about it find the place: it reads no more of its input than it needs, and
// everything before the fault is valid by itself.

// syntaxProblem turns an error of the YAML library into a problem at the place of the fault.
func (c chunk) syntaxProblem(err error) Problem {
	line, column := locate(c.text, err)
	return Problem{Line: c.line + line + 1, Column: column + 1, Message: explain(c.text, line, column, err)}
}

// The search for the last valid beginning is bounded, since each try parses the text again: by lines, and by all the
// bytes that may be parsed (half a second's worth).
const (
	triedLines = 40
	triedBytes = 1 << 20
)

// locate returns the line and column of a syntax error, both counted from 0.
func locate(text []byte, err error) (line, column int) {
	read := consumed(text)
	last := bytes.Count(text[:read], []byte("\n"))
	line = last
	if n, ok := namedLine(err); ok {
		line = n - 1
	}
	starts := lineStarts(text)
	tries := min(triedLines, triedBytes/(read+1)+1)
	for l := min(last, len(starts)-1); l >= 0 && l > last-tries; l-- {
		if _, err := decode(bytes.NewReader(text[:starts[l]])); err == nil {
			line = l
			break
		}
	}
	line = min(max(line, 0), len(starts)-1)
	return line, columnOf(text[starts[line]:], read-starts[line], plainMessage(err))
}

// lookahead is how many characters the library's scanner holds before it decides on a token.
const lookahead = 4

// columnOf returns the column of the fault in a line, counted from 0: where the reader stood if it took offence at a
// character, the alias of no anchor, the opening quote of a text without an end, else the first character that is no blank.
func columnOf(rest []byte, read int, msg string) int {
	lineText, _, _ := bytes.Cut(rest, []byte("\n"))
	blank := len(lineText) - len(bytes.TrimLeft(lineText, " "))
	at := blank
	switch {
	case strings.Contains(msg, "mapping values"), strings.Contains(msg, "found character"):
		at = read - lookahead
	case strings.Contains(msg, "end of stream"):
		at = bytes.IndexAny(lineText, `"'`)
	case strings.Contains(msg, "anchor"):
		at = bytes.IndexByte(lineText, '*')
	}
	if at < blank || at >= len(lineText) {
		at = blank
	}
	return utf8.RuneCount(lineText[:at])
}

// consumed returns how many bytes the library reads before it gives up.
func consumed(text []byte) int {
	r := &byteReader{text: text}
	_, _ = decode(r) // fails as before
	return r.read
}

// byteReader hands out its text byte by byte, so that the reader's position is known.
type byteReader struct {
	text []byte
	read int
}

func (r *byteReader) Read(p []byte) (int, error) {
	if r.read == len(r.text) {
		return 0, io.EOF
	}
	n := copy(p[:1], r.text[r.read:])
	r.read += n
	return n, nil
}

func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, b := range text {
		if b == '\n' && i+1 < len(text) {
			starts = append(starts, i+1)
		}
	}
	return starts
}

var messageLine = regexp.MustCompile(`line (\d+): `)

func namedLine(err error) (int, bool) {
	m := messageLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return n, err == nil
}

// plainMessage returns a YAML library's words without its name and its line.
func plainMessage(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	return messageLine.ReplaceAllString(s, "")
}

// explain returns the library's words, or better ones for the faults that people make most.
func explain(text []byte, line, column int, err error) string {
	msg := plainMessage(err)
	starts := lineStarts(text)
	rest, _, _ := bytes.Cut(text[starts[line]:], []byte("\n"))
	indent := rest[:len(rest)-len(bytes.TrimLeft(rest, " \t"))]
	switch {
	case bytes.IndexByte(indent, '\t') >= 0:
		return "a tab cannot indent in YAML: use spaces"
	case strings.Contains(msg, "mapping values are not allowed") && bytes.IndexByte(rest, ':') == column:
		return msg + ": the line above may lack a colon"
	case strings.Contains(msg, "mapping values are not allowed"):
		return msg + ": quote the value, or check the indentation"
	case strings.Contains(msg, "unexpected end of stream"):
		return msg + ": a quote is not closed"
	case strings.Contains(msg, "<document start>"):
		return secondDocument
	case strings.Contains(msg, "did not find expected key"):
		return msg + ": check the indentation"
	}
	return msg
}
