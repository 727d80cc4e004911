package hostdns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	// resolved is the program whose routing domains are used. https://www.freedesktop.org/software/systemd/man/resolvectl.html
	resolved = "systemd-resolved"
	// commandLimit bounds one resolvectl, which waits for systemd-resolved and the bus.
	commandLimit = 10 * time.Second
)

// asksResolved tells whether programs that read this resolv.conf ask systemd-resolved: by its stub's addresses.
func asksResolved(text []byte) bool {
	return slices.ContainsFunc(nameservers(text), func(s string) bool { return s == "127.0.0.53" || s == "127.0.0.54" })
}

// route gives the link the domain. The domain comes first: a link with a server and no domain would be asked for every name.
func (m Machine) route(ctx context.Context, c Cluster) error {
	links, err := m.routes(ctx, c.Domain)
	if err != nil {
		return err
	}
	for _, link := range links {
		if link != c.Link {
			return fmt.Errorf("%w: %s leads them to the device %s", ErrTaken, resolved, link)
		}
	}
	server := c.Server.Addr().String()
	if c.Server.Port() != 53 {
		server = c.Server.String()
	}
	for _, args := range [][]string{
		{"domain", c.Link, "~" + c.Domain},
		{"default-route", c.Link, "false"},
		{"dns", c.Link, server},
	} {
		if _, err := resolvectl(ctx, args...); err != nil {
			_, undo := resolvectl(ctx, "revert", c.Link)
			return errors.Join(err, undo)
		}
	}
	return nil
}

// unroute gives up what the link has of systemd-resolved. A link that is gone has taken it along.
func (m Machine) unroute(ctx context.Context, c Cluster) error {
	if _, err := os.Stat(m.path("/sys/class/net/" + c.Link)); err != nil {
		return nil
	}
	if _, err := os.Stat(m.path("/run/systemd/resolve")); err != nil {
		return nil
	}
	links, err := m.routes(ctx, c.Domain)
	if errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	if err != nil || !slices.Contains(links, c.Link) {
		return err
	}
	_, err = resolvectl(ctx, "revert", c.Link)
	return err
}

// routes are the links that have the domain, as a routing or a search domain.
func (m Machine) routes(ctx context.Context, domain string) (links []string, err error) {
	out, err := resolvectl(ctx, "domain")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) { // Link 3 (kl-default): ~cluster.local
		_, line, ok := strings.Cut(line, "(")
		link, domains, of := strings.Cut(line, "):")
		if ok && of && slices.ContainsFunc(strings.Fields(domains), func(d string) bool { return strings.TrimPrefix(d, "~") == domain }) {
			links = append(links, link)
		}
	}
	return links, nil
}

func resolvectl(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "resolvectl", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("resolvectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
