package verdict

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseCheck(t *testing.T) {
	for text, want := range map[string]string{
		"http://web.default/healthz -> 200":    "GET http web.default  /healthz 200 ",
		"http://web:http/a?b=c":                "GET http web http /a?b=c 0 ",
		"POST https://web.shop:8443 -> 201":    "POST https web.shop 8443  201 ",
		"http://[fd00::1]:80/ -> 200 ok|ready": "GET http fd00::1 80 / 200 ok|ready",
		"http://web/->404":                     "GET http web  / 404 ",
	} {
		c, err := ParseCheck(text)
		got := strings.Join([]string{c.Method, c.target.scheme, c.target.host, c.target.port, c.target.rest, fmt.Sprint(c.Status), c.Matches}, " ")
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                         "use [METHOD] URL",
		"a b c -> 200":             "use [METHOD] URL",
		"web/healthz -> 200":       `must begin with http:// or https://, got "web/healthz"`,
		"http://web -> ok":         `what follows -> must be a status such as 200, got "ok"`,
		"http://web ->":            `what follows -> must be a status such as 200, got ""`,
		"http://web -> 99":         "must be 100 to 599, got 99",
		"http://web -> 200 (":      "missing closing",
		"http:///healthz":          "names no host",
		"http://web:/ -> 200":      "has no port behind its colon",
		"http://me:pw@web/ -> 200": "has a user in it",
	} {
		if _, err := ParseCheck(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestParseExec(t *testing.T) {
	for text, want := range map[string][]string{
		"job/smoke":                    {"job/smoke", "smoke"},
		"deploy/web -- cat /etc/x":     {"deploy/web", "", "cat", "/etc/x"},
		`pod/web -- sh -c 'a "b"' " "`: {"pod/web", "", "sh", "-c", `a "b"`, " "},
		"pod/web -- a -- b":            {"pod/web", "", "a", "--", "b"},
	} {
		c, err := ParseExec(text)
		if got := append([]string{c.Exec, c.Job()}, c.Command...); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                      "a check has a url or an exec",
		"smoke":                 "must be job/NAME",
		"deploy/web":            "deploy/web needs a command",
		"job/smoke -- true":     "a Job has a command of its own",
		"deploy/web -- sh -c '": "a quote is not closed",
	} {
		if _, err := ParseExec(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestParseChecks(t *testing.T) {
	checks, problems := ParseChecks("checks.yaml", []byte(`
checks:
- name: health
  url: http://web.shop:http/healthz
  headers: {Accept: application/json}
  json: {path: '{.status}', value: ok}
  within: 10s
- url: http://web/
  body: '{}'
- exec: deploy/web
  command: [cat, /etc/version]
`))
	if len(problems) > 0 || len(checks) != 3 {
		t.Fatalf("%d checks, %v", len(checks), problems)
	}
	if c := checks[0]; c.Name != "health" || c.Method != "GET" || c.within != 10*time.Second || c.path == nil || c.Headers["Accept"] == "" {
		t.Errorf("the first is %+v", c)
	}
	if checks[1].Method != "POST" || checks[1].Name != "POST http://web/" || checks[2].Name != "deploy/web cat /etc/version" {
		t.Errorf("the others are %+v", checks[1:])
	}
}

// What is wrong with a file of checks is said with its place, and a guess.
func TestParseChecksMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"checks: []\n":                                        "f.yaml:1:9: checks: there is no check in it",
		"check:\n- url: http://a/\n":                          `f.yaml:1:1: check: unknown field (did you mean "checks"?)`,
		"checks:\n- url: http://a/\n  statsu: 200\n":          `f.yaml:3:3: checks[0].statsu: unknown field (did you mean "status"?)`,
		"checks:\n- url: http://a/\n  status: '200'\n":        `f.yaml:3:11: checks[0].status: must be a whole number, got "200": remove the quotes`,
		"checks:\n- name: a\n":                                "f.yaml:2:3: checks[0]: a check has a url or an exec",
		"checks:\n- url: http://a/\n  exec: job/a\n":          "f.yaml:3:9: checks[0].exec: a check has a url or an exec, not both",
		"checks:\n- url: http://a/\n  json: {path: status}\n": `f.yaml:3:16: checks[0].json.path: must be a JSON path such as {.items[0].name}, got "status"`,
		"checks:\n- exec: job/a\n  status: 200\n":             "f.yaml:3:11: checks[0].status: belongs to url",
		"checks:\n- url: http://a/\n  within: soon\n":         `f.yaml:3:11: checks[0].within: must be a duration such as 10s, got "soon"`,
	} {
		_, problems := ParseChecks("f.yaml", []byte(text))
		if len(problems) != 1 || problems[0].String() != want {
			t.Errorf("%q: %v, want %s", text, problems, want)
		}
	}
}
