package files

import (
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestSubPathExpressionsAreExpandedInAKubeletsWords(t *testing.T) {
	env := []string{"NAME=web", "EMPTY=", "UP=../x", "ROOT=/x"}
	for expr, want := range map[string]string{
		"logs/$(NAME)":              "logs/web",
		"$(NAME)/$$(NAME)":          "web/$(NAME)",
		"$(NONE)/$(EMPTY)/$(OTHER)": "missing value for EMPTY, NONE, OTHER",
		"$(UP)":                     "unable to provision SubPath `../x`: must not contain '..'",
		"$(ROOT)":                   "error SubPath `/x` must not be an absolute path",
	} {
		got, err := subPathOf(v1.VolumeMount{SubPathExpr: expr}, env)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}
