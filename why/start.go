package why

import (
	"regexp"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// What container runtimes say of a program that cannot be started.
var (
	execFailed   = regexp.MustCompile(`exec: "([^"]*)": (.+?)(?:: unknown)?$`)
	noUser       = regexp.MustCompile(`unable to find (user|group) ([^:]+): no matching entries`)
	noWorkingDir = regexp.MustCompile(`chdir to cwd \("([^"]+)"\).*?: ([^:]+)(?:: unknown)?$`)
	noCommand    = regexp.MustCompile(`(?i)no command specified`)
)

// cannotStart explains a container whose program does not even begin.
func (l *look) cannotStart(pod *v1.Pod, c *v1.Container, said string) Link {
	at := podObject(pod)
	said = strings.TrimSpace(strings.ReplaceAll(said, "\n", " "))
	if m := execFailed.FindStringSubmatch(said); m != nil {
		what := "the command"
		if len(c.Command) == 0 {
			what = "the entry point of the image " + quote(c.Image)
			if len(c.Args) > 0 && c.Args[0] == m[1] {
				what = "the first of the args"
			}
		}
		mend := l.edited(pod, "correct command and args of "+c.Name)
		switch {
		case strings.Contains(m[2], "permission denied"):
			return broken(at, "container %s cannot be started: %s, %s, is a file that may not be executed", c.Name, what, quote(m[1])).mended(mend)
		case strings.Contains(m[2], "not found") || strings.Contains(m[2], "no such file"):
			return broken(at, "container %s cannot be started: %s, %s, is no program in the image %s", c.Name, what, quote(m[1]), quote(c.Image)).mended(mend)
		}
		return broken(at, "container %s cannot be started: %s, %s: %s", c.Name, what, quote(m[1]), m[2]).mended(mend)
	}
	if m := noUser.FindStringSubmatch(said); m != nil {
		return broken(at, "container %s cannot be started: its image %s knows no %s %s", c.Name, quote(c.Image), m[1], quote(m[2])).
			mended(l.edited(pod, "set securityContext.runAsUser of "+c.Name+" to a number"))
	}
	if m := noWorkingDir.FindStringSubmatch(said); m != nil {
		return broken(at, "container %s cannot be started: its workingDir %s cannot be entered: %s", c.Name, quote(m[1]), m[2]).
			mended(l.edited(pod, "correct workingDir of "+c.Name))
	}
	if noCommand.MatchString(said) {
		return broken(at, "container %s cannot be started: neither it nor its image %s says which program to run", c.Name, quote(c.Image)).
			mended(l.edited(pod, "give "+c.Name+" a command"))
	}
	return broken(at, "container %s cannot be started: %s", c.Name, said)
}
