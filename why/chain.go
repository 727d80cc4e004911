package why

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// State is what a link was found to be.
type State string

// The states of links.
const (
	OK      State = "ok"
	Broken  State = "broken"
	Waiting State = "waiting" // for the next link, or for something that is under way
	Unknown State = "unknown" // it could not be looked at
)

// Object names what a link is about.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

func (o Object) String() string { return o.Kind + " " + o.Name }

// Cause names what is wrong, of those things that time alone does not mend.
type Cause string

// The causes of broken links. A link that names none may become well by itself, or nobody can tell.
const (
	// ImageMissing: the registry says that there is no such image, or the pod forbids to pull one that is not there.
	ImageMissing Cause = "ImageMissing"
	// RegistryUnreachable: the image is not there and its registry does not answer.
	RegistryUnreachable Cause = "RegistryUnreachable"
	// CrashLoop: a container has ended again after three restarts or more.
	CrashLoop Cause = "CrashLoop"
	// Unschedulable: the scheduler has found no node for the pod.
	Unschedulable Cause = "Unschedulable"
	// Refused: the API takes no more pods of the workload, for a quota or another rule of the namespace.
	Refused Cause = "Refused"
)

// Link is one object on the way, and what was found there.
type Link struct {
	Object   Object   `json:"object"`
	State    State    `json:"state"`
	Sentence string   `json:"sentence"`
	Evidence []string `json:"evidence,omitempty"` // what was read, in the words of where it was read
	Mend     string   `json:"mend,omitempty"`     // a command, or what to do before one
	Cause    Cause    `json:"cause,omitempty"`    // empty: none of those that have a name
}

// Chain leads from the object that was asked for to the first link that is not well, or to the last one.
type Chain struct {
	Object Object   `json:"object"`
	State  State    `json:"state"`
	Links  []Link   `json:"links"`
	Unread []string `json:"unread,omitempty"` // what the API did not let us read, and why
}

// links are a part of a chain. The last one says what it leads to.
type links []Link

func (l links) state() State {
	if len(l) == 0 {
		return OK
	}
	return l[len(l)-1].State
}

func (l links) well() bool { return l.state() == OK }

// worst is the part that explains most: one that leads to a broken link, else to one that waits.
func worst(parts []links) links {
	for _, state := range []State{Broken, Waiting, Unknown} {
		if n := slices.IndexFunc(parts, func(l links) bool { return l.state() == state }); n >= 0 {
			return parts[n]
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return parts[0]
}

// led puts a link before those that it leads to. It waits for them unless they are well, and is left out if the first of
// them says more of the same object.
func led(first Link, rest links) links {
	if !rest.well() && rest[0].Object == first.Object {
		return rest
	}
	if first.State == OK && !rest.well() {
		first.State = Waiting
	}
	return append(links{first}, rest...)
}

// well, broken and waiting make links.
func well(o Object, format string, args ...any) Link {
	return Link{Object: o, State: OK, Sentence: fmt.Sprintf(format, args...)}
}

func broken(o Object, format string, args ...any) Link {
	return Link{Object: o, State: Broken, Sentence: fmt.Sprintf(format, args...)}
}

func waiting(o Object, format string, args ...any) Link {
	return Link{Object: o, State: Waiting, Sentence: fmt.Sprintf(format, args...)}
}

// seen adds evidence; empty lines are none.
func (l Link) seen(lines ...string) Link {
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			l.Evidence = append(l.Evidence, line)
		}
	}
	return l
}

// mended adds the command.
func (l Link) mended(command string) Link {
	l.Mend = command
	return l
}

// caused names the cause.
func (l Link) caused(c Cause) Link {
	l.Cause = c
	return l
}

// Last is where the chain leads to: the first link that is not well, or the last one. A chain is never empty.
func (c Chain) Last() Link { return c.Links[len(c.Links)-1] }

// marks of the states, before each line.
var marks = map[State]string{OK: "✓", Broken: "✗", Waiting: "…", Unknown: "?"}

// Write prints a line for each link, and below it what it rests on and the command that mends it.
func (c Chain) Write(w io.Writer) error {
	var b strings.Builder
	for _, l := range c.Links {
		fmt.Fprintf(&b, "%s %s: %s\n", marks[l.State], l.Object, l.Sentence)
		for _, line := range l.Evidence {
			fmt.Fprintf(&b, "    seen: %s\n", strings.ReplaceAll(line, "\n", "\n          "))
		}
		if l.Mend != "" {
			fmt.Fprintf(&b, "    mend: %s\n", l.Mend)
		}
	}
	for _, line := range c.Unread {
		fmt.Fprintf(&b, "? not read: %s\n", line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
