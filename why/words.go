package why

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// How things are put into words.

func quote(s string) string { return strconv.Quote(s) }

// count is "1 pod", "3 pods".
func count[N int | int32](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// isAre agrees with a number.
func isAre[N int | int32](n N) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// ratio is "1 of 3 pods ready".
func ratio(ready, want int32) string {
	return fmt.Sprintf("%d of %d pods ready", ready, want)
}

// mostNames is how many names a list shows.
const mostNames = 8

// list is "a, b, c", or "nothing".
func list(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) == 0 {
		return "none"
	}
	if more := len(names) - mostNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNames], ", "), more)
	}
	return strings.Join(names, ", ")
}

// labelText is "app=web,tier=front".
func labelText(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}

// selectorText is how a selector is written on a command line.
func selectorText(s *metav1.LabelSelector) string {
	if s != nil && len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return "any labels"
	}
	return metav1.FormatLabelSelector(s)
}

// since is how long ago a time was: "12s".
func (l *look) since(t time.Time) string { return duration.HumanDuration(l.opts.Now().Sub(t)) }

// firstLine cuts a text at its first line.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
