package router

import (
	"net/url"
	"testing"
)

// The examples of https://kubernetes.io/docs/concepts/services-networking/ingress/#examples
func TestPathsMatchAsDocumented(t *testing.T) {
	for _, c := range []struct {
		kind, path, request string
		want                bool
	}{
		{"Prefix", "/", "/any/path", true},
		{"Exact", "/foo", "/foo", true},
		{"Exact", "/foo", "/bar", false},
		{"Exact", "/foo", "/foo/", false},
		{"Exact", "/foo/", "/foo", false},
		{"Prefix", "/foo", "/foo", true},
		{"Prefix", "/foo", "/foo/", true},
		{"Prefix", "/foo/", "/foo", true},
		{"Prefix", "/foo/", "/foo/", true},
		{"Prefix", "/aaa/bb", "/aaa/bbb", false},
		{"Prefix", "/aaa/bbb", "/aaa/bbb", true},
		{"Prefix", "/aaa/bbb/", "/aaa/bbb", true},
		{"Prefix", "/aaa/bbb", "/aaa/bbb/", true},
		{"Prefix", "/aaa/bbb", "/aaa/bbb/ccc", true},
		{"Prefix", "/aaa/bbb", "/aaa/bbbxyz", false},
		{"Prefix", "/aaa", "/AAA", false},
		{"Prefix", "/a", "//a/../a//b", true},
		{"Prefix", "/public", "/public/../admin", false},
		{"Prefix", "/admin", "/public/../admin", true},
		{"Prefix", "/admin", "/public/.//./../admin", true},
		{"Exact", "/", "", true},
		{"regex", "/something(/|$)(.*)", "/something/new", true},
		{"regex", "/something(/|$)(.*)", "/SOMETHING", true},
		{"regex", "/something(/|$)(.*)", "/somethingelse", false},
		{"regex", "/b", "/a/b", false},
	} {
		match := newPrefixPath(c.path)
		switch c.kind {
		case "Exact":
			match = newExactPath(c.path)
		case "regex":
			var err error
			if match, err = newExpressionPath(c.path); err != nil {
				t.Fatal(err)
			}
		}
		if got := match.matches(canonicalPath(c.request)); got != c.want {
			t.Errorf("%s %s matches %q: %v, want %v", c.kind, c.path, c.request, got, c.want)
		}
	}
}

// As in https://kubernetes.github.io/ingress-nginx/examples/rewrite/
func TestRewrittenPaths(t *testing.T) {
	for _, c := range []struct{ expression, target, request, want string }{
		{"/something(/|$)(.*)", "/$2", "/something", "/"},
		{"/something(/|$)(.*)", "/$2", "/something/", "/"},
		{"/something(/|$)(.*)", "/$2", "/something/new?a=b&c", "/new?a=b&c"},
		{"/something(/|$)(.*)", "/$2", "/something/a%20b", "/a%20b"},
		{"/api", "/", "/api/v1/x?y", "/?y"},
		{"/(v[12])/(.*)", "/$2?version=$1", "/v2/pets?name=x", "/pets?version=v2&name=x"},
		{"/(.*)", "$1", "/pets", "/pets"},
		{"/a", "/$3$", "/a", "/$"},
	} {
		match, err := newExpressionPath(c.expression)
		if err != nil {
			t.Fatal(err)
		}
		target, err := newRewrite(c.target)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(c.request)
		if err != nil {
			t.Fatal(err)
		}
		if target.apply(u, match.expression); u.String() != c.want {
			t.Errorf("%s to %s: %s became %s, want %s", c.expression, c.target, c.request, u, c.want)
		}
	}
	if _, err := newRewrite("https://example.com/"); err == nil {
		t.Error("a target that is no path is taken")
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1024": 1024, "8k": 8 << 10, "8M": 8 << 20, "2g": 2 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "m", "-1", "8mb", "1.5m", "99999999999999999999", "9000000000000g"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}
