package netproxy

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"
)

func TestElementsOfOneMapAreOneCommand(t *testing.T) {
	commands := `add map ip t m { type ipv4_addr : verdict ; }
delete element ip t m { 10.0.0.9 }
delete element ip t m { 10.0.0.8 }
add element ip t m { 10.0.0.1 comment "a/b { }" : goto c }
add element ip t m { 10.0.0.2 : goto c }
add element ip t s { 10.0.0.3 }
add rule ip t c ip daddr { 10.0.0.1 , 10.0.0.2 } drop
add element ip t s { 10.0.0.4 }
`
	want := `add map ip t m { type ipv4_addr : verdict ; }
delete element ip t m { 10.0.0.9, 10.0.0.8 }
add element ip t m { 10.0.0.1 comment "a/b { }" : goto c, 10.0.0.2 : goto c }
add element ip t s { 10.0.0.3 }
add rule ip t c ip daddr { 10.0.0.1 , 10.0.0.2 } drop
add element ip t s { 10.0.0.4 }
`
	if got := joinElements(commands); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCommandsOfManyElementsAreBounded(t *testing.T) {
	var commands strings.Builder
	for i := range 2*mostJoined + 1 {
		fmt.Fprintf(&commands, "add element ip t s { %d }\n", i)
	}
	var counts []int
	for line := range strings.Lines(joinElements(commands.String())) {
		counts = append(counts, strings.Count(line, ",")+1)
	}
	if fmt.Sprint(counts) != fmt.Sprint([]int{mostJoined, mostJoined, 1}) {
		t.Errorf("the commands have %v elements", counts)
	}
}

func TestATransactionWithAMistakeIsNotRun(t *testing.T) {
	nft := joiningNft{knftables.NewFake(knftables.IPv4Family, "t"), "/nonexistent"}
	tx := nft.NewTransaction()
	tx.Add(&knftables.Element{Set: "s"})
	if err := nft.Run(t.Context(), tx); err == nil || !strings.Contains(err.Error(), "no key specified for element") {
		t.Errorf("got %v, want what is wrong with the transaction", err)
	}
}
