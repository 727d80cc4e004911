package router

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// rewrite replaces the path of a request.
// https://kubernetes.github.io/ingress-nginx/examples/rewrite/
type rewrite struct {
	path, query string // $1 to $9 stand for what the groups of the route's expression matched
}

// newRewrite reads the value of the annotation rewrite-target.
func newRewrite(target string) (*rewrite, error) {
	if !strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "$") {
		return nil, errors.New("the target is no path: begin it with a slash")
	}
	path, query, _ := strings.Cut(target, "?")
	return &rewrite{path: path, query: query}, nil
}

// apply replaces the path of u and puts the query of the target before that of u. The groups are those of expression in
// the path as it came, none if expression is nil.
func (r *rewrite) apply(u *url.URL, expression *regexp.Regexp) {
	var groups []string
	if expression != nil {
		groups = expression.FindStringSubmatch(canonicalPath(u.Path))
	}
	u.Path, u.RawPath = expand(r.path, groups), ""
	if !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	if query := expand(r.query, groups); query != "" {
		u.RawQuery = strings.TrimSuffix(query+"&"+u.RawQuery, "&")
	}
}

// expand replaces $1 to $9 by the groups; one that is not there is empty.
func expand(template string, groups []string) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		if template[i] != '$' || i+1 == len(template) || template[i+1] < '1' || template[i+1] > '9' {
			b.WriteByte(template[i])
			continue
		}
		i++
		if group := int(template[i] - '0'); group < len(groups) {
			b.WriteString(groups[group])
		}
	}
	return b.String()
}
