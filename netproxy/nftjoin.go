package netproxy

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/knftables"
)

// joiningNft runs transactions with fewer commands than knftables writes, which has one for each element of a map: nft
// needs half the time for one that has many.
type joiningNft struct {
	knftables.Interface
	path string // nft's
}

// mostJoined is how many elements one command has at most.
const mostJoined = 500

// Run is knftables.Interface's.
func (n joiningNft) Run(ctx context.Context, tx *knftables.Transaction) error {
	text := tx.String()
	if _, mistake, wrong := strings.Cut(text, "# ERROR: "); wrong {
		return fmt.Errorf("a transaction that cannot be: %s", mistake)
	}
	_, err := runProgram(ctx, n.path, []byte(joinElements(text)), "-f", "-")
	return err
}

// joinElements makes one command of those in a row that add elements to the same map or set, or delete some of it.
func joinElements(commands string) string {
	var joined strings.Builder
	joined.Grow(len(commands))
	open, count := "", 0 // what the open command begins with, and how many elements it has
	end := func() {
		if open != "" {
			joined.WriteString(" }\n")
		}
		open, count = "", 0
	}
	for line := range strings.Lines(commands) {
		start, element, isElement := strings.Cut(strings.TrimSuffix(line, " }\n"), " { ")
		isElement = isElement && (strings.HasPrefix(start, "add element ") || strings.HasPrefix(start, "delete element "))
		switch {
		case !isElement:
			end()
			joined.WriteString(line)
			continue
		case start == open && count < mostJoined:
			joined.WriteString(", ")
		default:
			end()
			joined.WriteString(start + " { ")
			open = start
		}
		joined.WriteString(element)
		count++
	}
	end()
	return joined.String()
}
