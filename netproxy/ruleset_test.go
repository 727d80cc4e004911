package netproxy

import "testing"

func TestOnlyWhatChangedIsSent(t *testing.T) {
	have := chains{"A": {"-j B"}, "B": {"-j ACCEPT"}, "C": nil}
	for name, c := range map[string]struct {
		want  chains
		stale []string
		text  string
	}{
		"nothing": {want: chains{"A": {"-j B"}, "B": {"-j ACCEPT"}, "C": nil}},
		"a rule":  {want: chains{"A": {"-j B"}, "B": {"-j DROP"}, "C": nil}, text: "*nat\n:B - [0:0]\n-A B -j DROP\nCOMMIT\n"},
		"a new chain": {want: chains{"A": {"-j B"}, "B": {"-j ACCEPT"}, "C": nil, "D": nil},
			text: "*nat\n:D - [0:0]\nCOMMIT\n"},
		"a chain removed with its jump": {want: chains{"A": nil, "C": nil},
			text: "*nat\n:A - [0:0]\n:B - [0:0]\n-X B\nCOMMIT\n"},
		"a stale chain": {want: have, stale: []string{"A", "Z"}, text: "*nat\n:Z - [0:0]\n-X Z\nCOMMIT\n"},
		"a stale chain that is also gone": {want: chains{"A": {"-j B"}, "B": {"-j ACCEPT"}}, stale: []string{"C"},
			text: "*nat\n:C - [0:0]\n-X C\nCOMMIT\n"},
	} {
		if got := string(restoreText("nat", have, c.want, c.stale)); got != c.text {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.text)
		}
	}
}
