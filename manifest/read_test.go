package manifest

import (
	"fmt"
	"strings"
	"testing"
)

// A file of another format gets the messages of a manifest, and the values at their places.
func TestRead(t *testing.T) {
	type settings struct {
		Rules []struct {
			Host  string `json:"host"`
			Limit int    `json:"limit"`
		} `json:"rules"`
	}
	for text, want := range map[string]string{
		"rules:\n- host: a\n  limit: 3\n":   "",
		"rules:\n- hst: a\n":                `f.yaml:2:3: rules[0].hst: unknown field (did you mean "host"?)`,
		"rules:\n- limit: many\n":           `f.yaml:2:10: rules[0].limit: must be a whole number, got "many"`,
		"rules: {host: a}\n":                `f.yaml:1:8: rules: must be a list, got a mapping: begin each item with "- "`,
		"rules:\n- host: a\n  host: b\n":    "f.yaml:3:3: rules[0].host: duplicate key, first on line 2",
		"rules: []\n---\nrules: []\n":       "f.yaml:3:1: a second document: only one is read",
		"# nothing\n":                       "f.yaml:1:1: there is nothing in it",
		"rules:\n- host: [\n":               "f.yaml:",
		"rules: &a [{host: x}]\nmore: *a\n": "f.yaml:2:1: more: unknown field",
	} {
		var into settings
		_, problems := Read("f.yaml", []byte(text), &into)
		got := strings.Trim(fmt.Sprint(problems), "[]")
		if want == "" && (got != "" || len(into.Rules) != 1 || into.Rules[0].Limit != 3) || !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s; read %+v", text, got, want, into)
		}
	}
	var into settings
	at, _ := Read("f.yaml", []byte("rules:\n- host: a\n  limit: 3\n- host: b\n"), &into)
	for path, want := range map[string]string{
		"rules[0].limit": "f.yaml:3:10: rules[0].limit: wrong",
		"rules[1].host":  "f.yaml:4:9: rules[1].host: wrong",
		"rules[1].limit": "f.yaml:4:3: rules[1].limit: wrong", // of what lacks it
	} {
		if got := at(path, "wrong").String(); got != want {
			t.Errorf("at %s: %s, want %s", path, got, want)
		}
	}
}
