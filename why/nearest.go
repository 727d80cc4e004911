package why

import (
	"slices"
	"strings"
)

const (
	// slipsPer is how many characters of a name may hold one slip of the keyboard; a short name may have one.
	slipsPer = 4
	// leastName is how long a name must be to be mistyped: below that any two are alike.
	leastName = 3
)

// A name that is part of another one is meant by it, if it is not too small a part.
const (
	shortestPart = 4
	leastPart    = 3 // 1 of that many characters
)

// nearest is the candidate that was probably meant by a name: one that differs by few slips of the keyboard, or the only one
// that has the name in it or is in the name. "" is none.
func nearest(name string, candidates []string) string {
	best, least := "", max(1, len(name)/slipsPer)+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if min(len(c), len(name)) < leastName {
			continue
		}
		if n := slips(strings.ToLower(name), strings.ToLower(c)); n < least {
			best, least = c, n
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates {
		short, long := min(len(c), len(name)), max(len(c), len(name))
		if short < shortestPart || long > leastPart*short || !strings.Contains(c, name) && !strings.Contains(name, c) {
			continue
		}
		if best != "" {
			return ""
		}
		best = c
	}
	return best
}

// slips counts the characters that were left out, added, mistaken or swapped with their neighbour (optimal string alignment).
func slips(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j], rows[i][j-1], rows[i-1][j-1])
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					rows[i][j] = min(rows[i][j], 1+rows[i-2][j-2])
				}
			}
		}
	}
	return rows[len(a)][len(b)]
}

// orNearest says which candidate is nearly a name: `; there is "b"`. "" if none is.
func orNearest(name string, candidates []string) string {
	if n := nearest(name, candidates); n != "" {
		return "; there is " + quote(n)
	}
	return ""
}
