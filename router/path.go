package router

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// pathKind says how a route's path is compared with that of a request.
type pathKind int

// In the order in which they are tried.
const (
	exactPath pathKind = iota
	prefixPath
	expressionPath
)

// pathMatch is what a route says of paths.
// https://kubernetes.io/docs/concepts/services-networking/ingress/#path-types
type pathMatch struct {
	kind pathKind
	// text is the path as it was declared; of a prefix without the slash at its end.
	text string
	// expression is set for expressionPath.
	expression *regexp.Regexp
}

func newExactPath(text string) pathMatch { return pathMatch{kind: exactPath, text: text} }

// newPrefixPath matches whole elements: /a matches /a and /a/b, not /ab.
func newPrefixPath(text string) pathMatch {
	return pathMatch{kind: prefixPath, text: strings.TrimRight(text, "/")}
}

// newExpressionPath matches the beginning of a path, whatever the case of its letters.
// https://kubernetes.github.io/ingress-nginx/user-guide/ingress-path-matching/
func newExpressionPath(text string) (pathMatch, error) {
	expression, err := regexp.Compile("(?i)^" + text)
	if err != nil {
		return pathMatch{}, fmt.Errorf("path %q is no regular expression of Go's (https://golang.org/s/re2syntax): %w", text, err)
	}
	return pathMatch{kind: expressionPath, text: text, expression: expression}, nil
}

// matches compares with the path of a request, as canonicalPath has it.
func (p pathMatch) matches(request string) bool {
	switch p.kind {
	case exactPath:
		return request == p.text
	case prefixPath:
		rest, found := strings.CutPrefix(request, p.text)
		return found && (rest == "" || rest[0] == '/')
	default:
		return p.expression.MatchString(request)
	}
}

// before tells whether p is to be tried before q: exact paths first, then the longer path.
func (p pathMatch) before(q pathMatch) bool {
	if exact := p.kind == exactPath; exact != (q.kind == exactPath) {
		return exact
	}
	return len(p.text) > len(q.text)
}

// same tells whether both match the same requests.
func (p pathMatch) same(q pathMatch) bool { return p.kind == q.kind && p.text == q.text }

// canonicalPath is the path that routes are compared with: without empty elements, "." and "..", so that no request is led
// by another path than the one that the pod will understand. The pod gets the path as it came.
func canonicalPath(request string) string {
	if request == "" {
		return "/"
	}
	if !strings.Contains(request, "//") && !strings.Contains(request, "/.") {
		return request
	}
	clean := path.Clean(request)
	if clean != "/" && strings.HasSuffix(request, "/") {
		clean += "/"
	}
	return clean
}
