package hostdns

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeResolvectl keeps a file per link and a log of what changes, in the directory of its name.
const fakeResolvectl = `#!/bin/sh
state=${0%/*}/links
case "$1 $#" in
"domain 1")
	echo "Global:"
	for link in "$state"/*; do
		[ -f "$link" ] && echo "Link 7 (${link##*/}): $(cat "$link")"
	done
	exit 0 ;;
esac
echo "$*" >>"${0%/*}/log"
[ "$1" != "$(cat "${0%/*}/fails" 2>/dev/null)" ] || { echo "Failed to set: Access denied" >&2; exit 1; }
case $1 in
domain) echo "$3" >"$state/$2" ;;
revert) rm -f "$state/$2" ;;
esac
`

const stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\n"

// newResolvedMachine has a systemd-resolved. It returns the directory of its command.
func newResolvedMachine(t *testing.T) (m Machine, dir string) {
	m, dir = newMachine(t, stub), t.TempDir()
	for _, name := range []string{"/run/systemd/resolve", "/sys/class/net/kl-red", "/sys/class/net/kl-blue"} {
		if err := os.MkdirAll(m.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "links"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "resolvectl"), []byte(fakeResolvectl), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return m, dir
}

func said(t *testing.T, dir, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || string(got) != want {
		t.Errorf("resolvectl was called with\n%s%v\nwant\n%s", got, err, want)
	}
}

const routesRed = "domain kl-red ~cluster.local\ndefault-route kl-red false\ndns kl-red 10.244.0.1\n"

func TestSystemdResolvedHasARoutingDomain(t *testing.T) {
	m, dir := newResolvedMachine(t)
	m.enable(t, red, resolved)
	said(t, dir, routesRed)
	if _, err := m.Enable(t.Context(), blue); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "kl-red") {
		t.Errorf("the second instance: %v", err)
	}
	m.disable(t, blue)
	said(t, dir, routesRed)
	m.disable(t, red)
	m.disable(t, red)
	said(t, dir, routesRed+"revert kl-red\n")
	m.holds(t, stub, false)
}

// A link that is gone has taken its domain along, and systemd-resolved may be gone too.
func TestNothingIsLeftToTakeBack(t *testing.T) {
	m, dir := newResolvedMachine(t)
	m.enable(t, red, resolved)
	for _, gone := range []string{m.path("/sys/class/net/kl-red"), filepath.Join(dir, "resolvectl")} {
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
		if note, err := m.Disable(t.Context(), red); note != "" || err != nil {
			t.Errorf("without %s: %q, %v", gone, note, err)
		}
	}
}

func TestWhatSystemdResolvedRefusesIsTakenBack(t *testing.T) {
	m, dir := newResolvedMachine(t)
	if err := os.WriteFile(filepath.Join(dir, "fails"), []byte("dns"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Enable(t.Context(), red); err == nil || !strings.Contains(err.Error(), "Access denied") {
		t.Errorf("error %v, want what resolvectl says", err)
	}
	said(t, dir, routesRed+"revert kl-red\n")
}
