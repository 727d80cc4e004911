package manifest

import "strings"

// Nearest returns the candidate that the word was probably meant to be, or "": equal but for case, or reached by
// few slips of the keyboard.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", len(word)/3+1
	for _, c := range candidates {
		if strings.EqualFold(word, c) {
			return c
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// longestName keeps distance cheap: no field or kind of Kubernetes is longer.
const longestName = 80

// distance counts the insertions, deletions, replacements and swaps of neighbours that make b of a (optimal string
// alignment).
func distance(a, b string) int {
	if len(a) > longestName || len(b) > longestName {
		return longestName
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// shortestPart is how long a word must be to be recognised inside a longer one.
const shortestPart = 4

// containing returns the only candidate that has the word in it, or "".
func containing(word string, candidates []string) string {
	found := ""
	for _, c := range candidates {
		if len(word) >= shortestPart && strings.Contains(strings.ToLower(c), strings.ToLower(word)) {
			if found != "" {
				return ""
			}
			found = c
		}
	}
	return found
}
