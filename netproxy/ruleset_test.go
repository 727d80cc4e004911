package netproxy

import "testing"

func TestOnlyWhatChangedIsSent(t *testing.T) {
	have := chains{"A": {"-j B"}, "B": {"-j ACCEPT"}, "C": nil}
	for name, c := range map[string]struct {
		want  chains
		stale []string
		jumps []string
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
		"a jump to what there is": {want: have, jumps: []string{"-I OUTPUT 1 -j A"}, text: "*nat\n-I OUTPUT 1 -j A\nCOMMIT\n"},
		"a jump to a chain that goes": {want: have, stale: []string{"Z"}, jumps: []string{"-D OUTPUT -j Z"},
			text: "*nat\n:Z - [0:0]\n-D OUTPUT -j Z\n-X Z\nCOMMIT\n"},
	} {
		if got := string(restoreText("nat", have, c.want, c.stale, c.jumps)); got != c.text {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.text)
		}
	}
}
