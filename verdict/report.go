package verdict

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Style is how a Report is written.
type Style int

// The styles of reports.
const (
	Plain    Style = iota // a line for whatever is done
	Terminal              // a tree that is drawn again in place
	GitHub                // Plain, with the groups and annotations of GitHub's job logs
)

const (
	// heartbeat is how long a plain report is silent while something is waited for.
	heartbeat = 15 * time.Second
	// frame is how often a terminal is drawn at most.
	frame = 50 * time.Millisecond
)

// Report tells a person how a run goes. Its methods may be called by several goroutines.
type Report struct {
	style Style
	w     io.Writer
	size  func() (width, height int) // of the terminal

	mu    sync.Mutex // guards what follows
	items []item     // of the section, in the order in which they came
	began time.Time  // the section
	lines int        // drawn in place
	last  time.Time  // when something was written
}

// item is a line of the tree.
type item struct {
	name, namespace string
	state           State
	text            string
	took            time.Duration
}

func (i item) same(other item) bool { return i.name == other.name && i.namespace == other.namespace }

// NewReport makes a Report that writes to w. For Terminal, fd is the descriptor of the terminal.
func NewReport(w io.Writer, style Style, fd int) *Report {
	return &Report{style: style, w: w, size: func() (int, int) {
		width, height, err := term.GetSize(fd)
		if err != nil {
			return 80, 24
		}
		return width, height
	}}
}

// Section begins a part of the run and ends the one before.
func (r *Report) Section(title string) {
	r.End()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began, r.last = time.Now(), time.Now()
	if r.style == GitHub {
		fmt.Fprintf(r.w, "::group::%s\n", title)
		return
	}
	fmt.Fprintln(r.w, title)
}

// End ends the section.
func (r *Report) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		return
	}
	if r.style == Terminal {
		r.draw(len(r.items))
	}
	if r.style == GitHub {
		fmt.Fprintln(r.w, "::endgroup::")
	}
	r.items, r.lines, r.began = nil, 0, time.Time{}
}

// Done adds a line for something that is done.
func (r *Report) Done(name, text string, took time.Duration) {
	r.set(item{name: name, state: Ready, text: text, took: took})
}

// set shows an item as it is now.
func (r *Report) set(i item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := item{state: Waiting}
	known := false
	for n := range r.items {
		if r.items[n].same(i) {
			before, known, r.items[n] = r.items[n], true, i
		}
	}
	if !known {
		r.items = append(r.items, i)
	}
	if r.style == Terminal {
		if time.Since(r.last) > frame || i.state != before.state {
			_, height := r.size()
			r.draw(height - 2)
		}
		return
	}
	switch {
	case i.state != before.state:
		fmt.Fprintln(r.w, i.line(0))
		r.last = time.Now()
	case time.Since(r.last) > heartbeat:
		r.last = time.Now()
		fmt.Fprintln(r.w, r.waiting())
	}
}

// tick has a plain report say what is waited for when it has been silent for long.
func (r *Report) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.style != Terminal && time.Since(r.last) > heartbeat {
		r.last = time.Now()
		fmt.Fprintln(r.w, r.waiting())
	}
}

// waiting names what is not done.
func (r *Report) waiting() string {
	var names []string
	for _, i := range r.items {
		if i.state == Waiting {
			names = append(names, fmt.Sprintf("%s (%s)", i.name, i.text))
		}
	}
	return fmt.Sprintf("  … %d s: %s", int(time.Since(r.began).Seconds()), strings.Join(names, ", "))
}

var marks = map[State]string{Waiting: "…", Ready: "✓", Failed: "✗"}

// line is the item as text; width 0 cuts nothing.
func (i item) line(width int) string {
	name := i.name
	if i.namespace != "" && i.namespace != "default" {
		name += " (" + i.namespace + ")"
	}
	text := fmt.Sprintf("  %s %-36s %s", marks[i.state], name, i.text)
	if i.state != Waiting && i.took >= 100*time.Millisecond {
		text += fmt.Sprintf("  %.1f s", i.took.Seconds())
	}
	if runes := []rune(text); width > 0 && len(runes) > width-1 {
		text = string(runes[:max(0, width-2)]) + "…"
	}
	return strings.TrimRight(text, " ")
}

// draw writes the tree over the one that was drawn before. At most so many lines fit; what is ready gives way first.
func (r *Report) draw(most int) {
	width, _ := r.size()
	shown := r.items
	if hidden := len(r.items) - most; hidden > 0 {
		shown = nil
		for _, i := range r.items {
			if i.state == Ready && hidden >= 0 {
				hidden--
				continue
			}
			shown = append(shown, i)
		}
		shown = shown[:min(len(shown), max(0, most-1))]
	}
	var b strings.Builder
	if r.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", r.lines)
	}
	for _, i := range shown {
		fmt.Fprintf(&b, "%s\x1b[K\n", i.line(width))
	}
	lines := len(shown)
	if hidden := len(r.items) - len(shown); hidden > 0 {
		fmt.Fprintf(&b, "  and %d more\x1b[K\n", hidden)
		lines++
	}
	b.WriteString("\x1b[J")
	_, _ = io.WriteString(r.w, b.String())
	r.lines, r.last = lines, time.Now()
}

// Problem tells of something that failed, with what is known of it.
func (r *Report) Problem(title, text string) {
	r.End()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.style == GitHub {
		title = strings.TrimPrefix(title, marks[Failed]+" ")
		fmt.Fprintf(r.w, "::error title=%s::%s\n", property(title), data(cmp.Or(strings.TrimSpace(text), title)))
		return
	}
	fmt.Fprintln(r.w, title)
	for line := range strings.Lines(text) {
		fmt.Fprintln(r.w, "  "+strings.TrimRight(line, "\n"))
	}
}

// Line writes a line.
func (r *Report) Line(format string, args ...any) {
	r.End()
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.w, format+"\n", args...)
}

// data and property escape what GitHub's commands carry:
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
