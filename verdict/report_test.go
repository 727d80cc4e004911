package verdict

import (
	"strings"
	"testing"
	"time"
)

// story is told to a report of each style.
func story(r *Report) {
	r.Section("Wait")
	r.set(item{name: "Deployment web", state: Waiting, text: "0 of 1"})
	r.set(item{name: "Job once", namespace: "shop", state: Waiting})
	r.set(item{name: "Deployment web", state: Ready, text: "1 of 1", took: 1200 * time.Millisecond})
	r.set(item{name: "Job once", namespace: "shop", state: Failed, text: "has failed"})
	r.Problem("✗ Job once: has failed", "line 1\nline 2, 100%\n")
	r.Line("failed")
}

func TestReports(t *testing.T) {
	const line = "  ✓ Deployment web                       1 of 1  1.2 s\n  ✗ Job once (shop)                      has failed\n"
	for style, want := range map[Style]string{
		Plain:  "Wait\n" + line + "✗ Job once: has failed\n  line 1\n  line 2, 100%\nfailed\n",
		GitHub: "::group::Wait\n" + line + "::endgroup::\n::error title=Job once%3A has failed::line 1%0Aline 2, 100%25\nfailed\n",
	} {
		var b strings.Builder
		story(NewReport(&b, style, -1))
		if b.String() != want {
			t.Errorf("style %d:\n%s\nwant\n%s", style, b.String(), want)
		}
	}
}

// screen is what a terminal shows after it got the text.
func screen(text string) string {
	var lines []string
	at := 0
	for _, line := range strings.SplitAfter(text, "\n") {
		line = strings.ReplaceAll(line, "\x1b[K", "")
		if rest, erase := strings.CutPrefix(line, "\x1b[J"); erase {
			line, lines = rest, lines[:at]
		}
		if rest, up := strings.CutPrefix(line, "\x1b["); up {
			n, rest, _ := strings.Cut(rest, "A")
			at -= int(n[0] - '0')
			line = rest
		}
		if line == "" {
			continue
		}
		lines = append(lines[:min(at, len(lines))], append([]string{line}, lines[min(at+1, len(lines)):]...)...)
		at++
	}
	return strings.Join(lines, "")
}

// On a terminal the tree is drawn over the one before, and nothing else is touched.
func TestTerminalReport(t *testing.T) {
	var b strings.Builder
	r := NewReport(&b, Terminal, -1)
	r.size = func() (int, int) { return 50, 24 }
	story(r)
	const want = "Wait\n  ✓ Deployment web                       1 of 1 …\n  ✗ Job once (shop)                      has fai…\n✗ Job once: has failed\n  line 1\n  line 2, 100%\nfailed\n"
	if got := screen(b.String()); got != want {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

// Where not all fits, what is ready gives way.
func TestTerminalReportOfMany(t *testing.T) {
	var b strings.Builder
	r := NewReport(&b, Terminal, -1)
	r.size = func() (int, int) { return 80, 6 }
	r.Section("Wait")
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		r.set(item{name: name, state: Ready})
	}
	r.set(item{name: "slow", state: Waiting})
	r.mu.Lock()
	b.Reset()
	r.lines = 0
	r.draw(4)
	r.mu.Unlock()
	if got := screen(b.String()); !strings.Contains(got, "slow") || !strings.Contains(got, "more") || strings.Count(got, "\n") > 4 {
		t.Errorf("%q", got)
	}
}
