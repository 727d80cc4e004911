package router

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// annotationPrefix is that of ingress-nginx, whose annotations half of all manifests carry.
// https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
const annotationPrefix = "nginx.ingress.kubernetes.io/"

// annotations are what those of an Ingress ask for.
type annotations struct {
	// expressions says that paths are regular expressions, but for those of type Exact.
	expressions bool
	rewrite     *rewrite // nil: the path stays
	// secure sends all to HTTPS, insecure nobody; neither: those of hosts with TLS.
	secure, insecure bool
	protocol         protocol // "": by the port's appProtocol
	maxBody          int64    // bytes; 0: no limit
}

// readAnnotations returns a sentence for each that is wrong or not known here.
func readAnnotations(all map[string]string) (a annotations, problems []string) {
	for name, value := range all {
		name, ours := strings.CutPrefix(name, annotationPrefix)
		if !ours {
			continue
		}
		var err error
		switch name {
		case "use-regex":
			a.expressions, err = strconv.ParseBool(value)
		case "rewrite-target":
			a.rewrite, err = newRewrite(value)
		case "ssl-redirect":
			var secure bool
			secure, err = strconv.ParseBool(value)
			a.insecure = a.insecure || err == nil && !secure
		case "force-ssl-redirect":
			a.secure, err = strconv.ParseBool(value)
		case "backend-protocol":
			a.protocol, err = parseProtocol(value)
		case "proxy-body-size":
			a.maxBody, err = parseSize(value)
		default:
			problems = append(problems, fmt.Sprintf("the annotation %s%s is not known here and changes nothing", annotationPrefix, name))
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("the annotation %s%s=%q changes nothing: %v", annotationPrefix, name, value, err))
		}
	}
	slices.Sort(problems)
	a.expressions = a.expressions || a.rewrite != nil
	return a, problems
}

// parseSize reads a size of nginx: a number of bytes, or of k, m or g.
// https://nginx.org/en/docs/syntax.html
func parseSize(text string) (int64, error) {
	digits, shift := text, 0
	if n := len(text); n > 0 {
		if at := strings.IndexByte("kmg", text[n-1]|0x20); at >= 0 {
			digits, shift = text[:n-1], 10*(at+1)
		}
	}
	size, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || size < 0 || size > (1<<63-1)>>shift {
		return 0, fmt.Errorf("use a size such as 8m")
	}
	return size << shift, nil
}
