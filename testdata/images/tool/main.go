// Command tool is the Swiss Army knife of the end-to-end tests, in the image kube-lite-test/tool: one static program
// with a command for each thing that a test wants to happen or to be seen inside a container. It exits with 1 when the
// command fails, with 2 when it was called wrongly.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// command does its work with the arguments after its name.
type command struct {
	usage string
	run   func(args []string) error
}

var errUsage = errors.New("wrong arguments")

func commands() map[string]command {
	return map[string]command{
		"sleep":      {"[DURATION] [--ignore-term]  wait (for ever), ending with 0 on SIGTERM unless told to ignore it", sleep},
		"exit":       {"CODE [DURATION]             end with CODE, after DURATION", exit},
		"print":      {"[--stderr] TEXT...          print the words", printWords},
		"cat":        {"[FILE]                      copy a file or stdin to stdout", cat},
		"write":      {"FILE TEXT                   write a file", write},
		"env":        {"[NAME...]                   print the environment, or the values of NAMEs", env},
		"inspect":    {"[ARG...]                    print args, working directory, hostname, pid, uid and gid as JSON", inspect},
		"tty":        {"                            print the size of the terminal on stdin, again on each change", tty},
		"orphan":     {"                            leave a child to pid 1 that ends at once, then wait for SIGTERM", orphan},
		"terminate":  {"[PID]                       send SIGTERM to PID, else to the container's first process", terminate},
		"alloc":      {"MIB                         fill that much memory, then wait for SIGTERM", alloc},
		"burn":       {"MILLICORES FILE             use that much of a CPU until FILE is there, then wait for SIGTERM", burn},
		"http-serve": {"ADDR [TEXT]                 answer with TEXT (else the hostname); log each client", httpServe},
		"http-get":   {"[-n COUNT] URL...           print each answer's body; fail on a status of 400 or more", httpGet},
		"load":       {"[-for DURATION] [-clients N] URL  request all the time, each on a new connection; count failures", load},
		"udp-serve":  {"ADDR [TEXT]                 answer each packet with TEXT (else the hostname) and its content", udpServe},
		"udp-get":    {"ADDR TEXT                   send a packet and print the answer", udpGet},
		"tcp-serve":  {"ADDR [TEXT]                 answer each connection with TEXT (else the hostname) and close", tcpServe},
		"tcp-get":    {"ADDR                        connect and print what comes", tcpGet},
		"dns":        {"TYPE NAME [SERVER]          look up A, AAAA, CNAME, PTR, SRV or TXT; print one record per line", dns},
		"lookup":     {"4:NAME|6:NAME|0:NAME...    print the addresses of each family (0: either) in a line, or none", addresses},
	}
}

func main() {
	all := commands()
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	chosen, ok := all[name]
	if !ok {
		fail(2, "unknown command %q; there are:\n%s", name, usage(all))
	}
	err := chosen.run(os.Args[2:])
	switch {
	case errors.Is(err, errUsage):
		fail(2, "usage: tool %s %s", name, strings.Join(strings.Fields(chosen.usage), " "))
	case err != nil:
		fail(1, "%s: %v", name, err)
	}
}

func usage(all map[string]command) string {
	var lines []string
	for name, c := range all {
		lines = append(lines, fmt.Sprintf("  %-10s %s", name, c.usage))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func fail(code int, format string, args ...any) {
	fmt.Fprintf(os.Stderr, "tool: "+format+"\n", args...)
	os.Exit(code)
}
