package hostdns

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

const (
	// resolvConf is what libc and Go read. https://man7.org/linux/man-pages/man5/resolv.conf.5.html
	resolvConf = "/etc/resolv.conf"
	// originalFile is resolvConf as it was, while our lines are in it.
	originalFile = resolvConf + ".kube-lite"
	nextSuffix   = ".next"
	// mark begins the line before ours. The instance's name follows.
	mark = "# kube-lite instance: "
)

// writers are programs that write resolv.conf anew when a network comes or goes, and leave their name in it. What to do there instead.
var writers = []struct{ name, instead string }{
	{"NetworkManager", `set "dns=systemd-resolved" in its configuration and run systemd-resolved`},
	{"resolvconf", "run systemd-resolved, or hand it the nameserver"},
	{"dhcpcd", "run systemd-resolved, or name the nameserver in dhcpcd.conf"},
}

// readResolvConf follows a link: what programs read counts.
func (m Machine) readResolvConf() ([]byte, error) {
	text, err := os.ReadFile(m.path(resolvConf))
	if err != nil {
		return nil, fmt.Errorf("the machine's resolver: %w", err)
	}
	return text, nil
}

// nameservers are the addresses in a resolv.conf.
func nameservers(text []byte) (servers []string) {
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			servers = append(servers, words[1])
		}
	}
	return servers
}

// insert puts the cluster's server before the others. Those stay: they answer when ours does not, and they are whom ours asks.
func (m Machine) insert(c Cluster, text []byte) error {
	if owner := ownerOf(text); owner != "" && owner != c.Instance {
		return fmt.Errorf("%w: %s leads them to %q, until \"kube-lite --name %s dns disable\"", ErrTaken, resolvConf, owner, owner)
	}
	if err := m.mayWrite(text); err != nil {
		return err
	}
	original := without(text)
	next := with(original, c)
	if bytes.Equal(next, text) {
		return nil
	}
	if _, err := os.Lstat(m.path(originalFile)); ownerOf(text) == "" || errors.Is(err, fs.ErrNotExist) {
		if err := m.replace(originalFile, original); err != nil {
			return err
		}
	}
	return m.replace(resolvConf, next)
}

// mayWrite refuses a file that is another program's.
func (m Machine) mayWrite(text []byte) error {
	if target, err := os.Readlink(m.path(resolvConf)); err == nil {
		return fmt.Errorf("%s is a link to %s, which another program writes: run systemd-resolved and link it to ../run/systemd/resolve/stub-resolv.conf, or make it a file",
			resolvConf, target)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			continue
		}
		for _, w := range writers {
			if strings.Contains(line, w.name) {
				return fmt.Errorf("%s is written by %s, which would undo any change: %s", resolvConf, w.name, w.instead)
			}
		}
	}
	return nil
}

// restore puts the original back, or, when somebody has changed the file since, takes out only our lines and says so.
func (m Machine) restore(text []byte) (note string, err error) {
	original, err := os.ReadFile(m.path(originalFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the machine's resolver: %w", err)
	}
	if err != nil || !bytes.Equal(without(text), original) {
		note = "another program has changed " + resolvConf + " meanwhile: only the lines of kube-lite were taken out"
		original = without(text)
	}
	if err := m.replace(resolvConf, original); err != nil {
		return "", err
	}
	if err := os.Remove(m.path(originalFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the machine's resolver: %w", err)
	}
	return note, nil
}

// forget removes the original of a file that somebody has written anew, without our lines.
func (m Machine) forget() (note string, err error) {
	err = os.Remove(m.path(originalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the machine's resolver: %w", err)
	}
	return "another program has written " + resolvConf + " anew meanwhile: it stays as it is", nil
}

// with adds our lines before all others: libc asks the nameservers in their order, and no more than three.
func with(text []byte, c Cluster) []byte {
	server := c.Server.Addr()
	if c.Server.Port() != 53 {
		server = c.Service
	}
	return append(fmt.Appendf(nil, "%s%s\nnameserver %s\n", mark, c.Instance, server), text...)
}

// without takes our lines out, wherever they are by now.
func without(text []byte) []byte {
	var kept []byte
	ours := false
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte(mark)) {
			ours = true
			continue
		}
		if ours && bytes.HasPrefix(line, []byte("nameserver ")) {
			ours = false
			continue
		}
		ours = false
		kept = append(kept, line...)
	}
	return kept
}

// ownerOf is the instance whose lines are in the text, or "".
func ownerOf(text []byte) string {
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(line, []byte(mark)); ok {
			return string(bytes.TrimSpace(name))
		}
	}
	return ""
}

// replace gives a file another text at once: no reader sees a half of it. Mode and owner are resolv.conf's.
func (m Machine) replace(name string, text []byte) error {
	path := m.path(name)
	if err := m.writeNext(path+nextSuffix, text); err != nil {
		_ = os.Remove(path + nextSuffix)
		return fmt.Errorf("write %s: %w", name, err)
	}
	err := os.Rename(path+nextSuffix, path)
	if errors.Is(err, syscall.EBUSY) { // a mount point, as in a container: it can only be written over
		_ = os.Remove(path + nextSuffix)
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		_ = os.Remove(path + nextSuffix)
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (m Machine) writeNext(path string, text []byte) error {
	model, err := os.Stat(m.path(resolvConf))
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Chmod(model.Mode().Perm()))
	if owner, ok := model.Sys().(*syscall.Stat_t); ok {
		err = errors.Join(err, file.Chown(int(owner.Uid), int(owner.Gid)))
	}
	return errors.Join(err, file.Sync(), file.Close())
}
