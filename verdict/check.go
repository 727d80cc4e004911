package verdict

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/util/jsonpath"
)

// Check is something that the application must do: answer a request, or have a command or a Job end with success.
// Either URL or Exec is set.
type Check struct {
	// Name is how reports call it; default what it does.
	Name string `json:"name"`

	// URL names a Service ("http://web.shop:http/healthz", a port by number or name), the host of an Ingress, a pod
	// ("http://web-0.shop.pod:8080/"), or an address such as localhost with a NodePort.
	URL     string            `json:"url"`
	Method  string            `json:"method"` // default GET, or POST with a body
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	// Insecure takes any certificate.
	Insecure bool `json:"insecure"`
	// Status is the expected one; 0 means any of 200 to 299.
	Status int `json:"status"`
	// Matches is a regular expression (https://github.com/google/re2/wiki/Syntax) that is to be found in the response's body.
	Matches string `json:"matches"`
	// JSON says what is in a response of JSON.
	JSON *JSONCheck `json:"json"`

	// Exec names a Job among the manifests, "job/smoke", that is applied when all else is as declared and has to be complete;
	// or where Command runs: "deploy/web", "statefulset/db", "pod/web".
	Exec      string   `json:"exec"`
	Command   []string `json:"command"`
	Container string   `json:"container"`

	// Within bounds the retries; 0 means that the run's deadline does, which holds in any case. A duration such as "10s".
	Within string `json:"within"`

	matches *regexp.Regexp
	path    *jsonpath.JSONPath
	within  time.Duration
	target  target
}

// JSONCheck compares a part of a response.
type JSONCheck struct {
	Path  string `json:"path"`  // as of kubectl get -o jsonpath: {.items[0].name}
	Value string `json:"value"` // what it prints
}

// A mistake is what is wrong with a field of a Check.
type mistake struct {
	field string // as in a file: "json.path"
	text  string
}

func (m *mistake) Error() string { return m.text }

func wrong(field, format string, args ...any) *mistake {
	return &mistake{field, fmt.Sprintf(format, args...)}
}

// arrow stands between a request and what is expected of it.
const arrow = "->"

// ParseCheck reads the value of --check:
//
//	[METHOD] URL [-> STATUS [PATTERN]]
//
// PATTERN is a regular expression that is to be found in the body.
func ParseCheck(text string) (Check, error) {
	request, want, expects := strings.Cut(text, arrow)
	c := Check{}
	switch words := strings.Fields(request); {
	case len(words) == 1:
		c.URL = words[0]
	case len(words) == 2 && !strings.Contains(words[0], "/"):
		c.Method, c.URL = words[0], words[1]
	default:
		return c, fmt.Errorf("%q: use [METHOD] URL -> STATUS [PATTERN], as in 'http://web.default/healthz -> 200'", text)
	}
	if expects {
		status, pattern, _ := strings.Cut(strings.TrimSpace(want), " ")
		var err error
		if c.Status, err = strconv.Atoi(status); err != nil {
			return c, fmt.Errorf("%q: what follows %s must be a status such as 200, got %q", text, arrow, status)
		}
		c.Matches = strings.TrimSpace(pattern)
	}
	if m := c.prepare(); m != nil {
		return c, fmt.Errorf("%q: %w", text, m)
	}
	return c, nil
}

// ParseExec reads the value of --exec: job/NAME, or KIND/NAME -- COMMAND.
func ParseExec(text string) (Check, error) {
	object, command, _ := strings.Cut(text, " -- ")
	words, err := split(command)
	if err != nil {
		return Check{}, fmt.Errorf("%q: %w", text, err)
	}
	c := Check{Exec: strings.TrimSpace(object), Command: words}
	if m := c.prepare(); m != nil {
		return c, fmt.Errorf("%q: %w", text, m)
	}
	return c, nil
}

// split takes a command apart as a shell would, quotes included; nothing is expanded.
func split(text string) (words []string, err error) {
	var word strings.Builder
	quote, begun := rune(0), false
	for _, c := range text {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// prepare judges the values and fills in what is not said.
func (c *Check) prepare() *mistake {
	switch {
	case c.URL == "" && c.Exec == "":
		return wrong("", "a check has a url or an exec")
	case c.URL != "" && c.Exec != "":
		return wrong("exec", "a check has a url or an exec, not both")
	}
	if c.Within != "" {
		var err error
		if c.within, err = time.ParseDuration(c.Within); err != nil || c.within <= 0 {
			return wrong("within", "must be a duration such as 10s, got %q", c.Within)
		}
	}
	if c.Exec != "" {
		return c.prepareExec()
	}
	return c.prepareRequest()
}

func (c *Check) prepareRequest() (m *mistake) {
	if c.Command != nil {
		return wrong("command", "belongs to exec")
	}
	if c.target, m = parseTarget(c.URL); m != nil {
		return m
	}
	if c.Method == "" {
		c.Method = http.MethodGet
		if c.Body != "" {
			c.Method = http.MethodPost
		}
	}
	if _, err := http.NewRequest(c.Method, "http://host/", nil); err != nil {
		return wrong("method", "%q is no method of HTTP", c.Method)
	}
	if c.Status != 0 && (c.Status < 100 || c.Status > 599) {
		return wrong("status", "must be 100 to 599, got %d", c.Status)
	}
	var err error
	if c.matches, err = regexp.Compile(c.Matches); err != nil {
		return wrong("matches", "%v", err)
	}
	if c.JSON != nil {
		c.path = jsonpath.New("check")
		if err = c.path.Parse(c.JSON.Path); err != nil || !strings.Contains(c.JSON.Path, "{") {
			return wrong("json.path", "must be a JSON path such as {.items[0].name}, got %q", c.JSON.Path)
		}
	}
	if c.Name == "" {
		c.Name = c.Method + " " + c.URL
		if c.Status != 0 {
			c.Name += strings.TrimRight(fmt.Sprintf(" %s %d %s", arrow, c.Status, c.Matches), " ")
		}
	}
	return nil
}

func (c *Check) prepareExec() *mistake {
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"method", c.Method != ""}, {"headers", c.Headers != nil}, {"body", c.Body != ""}, {"insecure", c.Insecure},
		{"status", c.Status != 0}, {"matches", c.Matches != ""}, {"json", c.JSON != nil},
	} {
		if field.set {
			return wrong(field.name, "belongs to url")
		}
	}
	kind, name, found := strings.Cut(c.Exec, "/")
	switch {
	case !found || kind == "" || name == "" || strings.ContainsAny(c.Exec, " \t"):
		return wrong("exec", "must be job/NAME, or KIND/NAME with a command, as in 'deploy/web -- true', got %q", c.Exec)
	case c.Job() == "" && len(c.Command) == 0:
		return wrong("exec", "%s needs a command: '%[1]s -- COMMAND'", c.Exec)
	case c.Job() != "" && len(c.Command) > 0:
		return wrong("command", "a Job has a command of its own")
	}
	if c.Name == "" {
		c.Name = strings.TrimSpace(c.Exec + " " + strings.Join(c.Command, " "))
	}
	return nil
}

// Job is the name of the Job that is the check; "" if it is none.
func (c *Check) Job() string {
	kind, name, _ := strings.Cut(c.Exec, "/")
	switch strings.ToLower(kind) {
	case "job", "jobs", "job.batch", "jobs.batch":
		return name
	}
	return ""
}
