package e2e

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// remove takes the instance off the machine by its own command and checks that nothing of it is left.
func (i *instance) remove() error {
	defer os.RemoveAll(i.scratch)
	if !i.began {
		return nil
	}
	errs := []error{i.checkPrefix(), i.do("reset", "--yes")}
	left, err := i.leftovers()
	if len(left) > 0 {
		errs = append(errs, fmt.Errorf("reset left behind: %s", strings.Join(left, "; ")))
	}
	return errors.Join(append(errs, err)...)
}

// checkPrefix makes sure that the check for leftovers would know chains when it saw some.
func (i *instance) checkPrefix() error {
	chains, err := i.chains()
	if err == nil && chains == "" && i.ready {
		err = fmt.Errorf("no iptables chain begins with %s while the instance runs", i.chainPrefix())
	}
	return err
}

// leftovers lists what the machine has of the instance.
func (i *instance) leftovers() (left []string, err error) {
	looks := map[string]func() (string, error){
		"containers": func() (string, error) {
			return output("docker", "ps", "--all", "--filter", i.label(), "--format", "{{.Names}}")
		},
		"networks": func() (string, error) {
			return output("docker", "network", "ls", "--filter", i.label(), "--format", "{{.Name}}")
		},
		"volumes": func() (string, error) {
			return output("docker", "volume", "ls", "--filter", i.label(), "--format", "{{.Name}}")
		},
		"chains":    i.chains,
		"routes":    i.routes,
		"mounts":    i.mounts,
		"processes": i.processes,
		"data":      i.data,
	}
	var errs []error
	for what, look := range looks {
		found, err := look()
		errs = append(errs, err)
		if found != "" {
			left = append(left, what+": "+strings.Join(strings.Fields(found), " "))
		}
	}
	return left, errors.Join(errs...)
}

// label is a filter for docker's lists: what belongs to the instance.
func (i *instance) label() string { return "label=io.kube-lite.instance=" + i.name }

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// chainPrefix is what docs/ARCHITECTURE.md promises: chains carry a hash of the instance's name.
func (i *instance) chainPrefix() string {
	sum := sha256.Sum256([]byte(i.name))
	return "KUBE-LITE-" + base32.StdEncoding.EncodeToString(sum[:])[:5] + "-"
}

// chains returns the lines of iptables-save that name a chain of the instance.
func (i *instance) chains() (string, error) {
	rules, err := output("iptables-save")
	return linesWith(rules, i.chainPrefix()), err
}

func (i *instance) routes() (string, error) {
	serviceCIDR := i.flags[len(i.flags)-1]
	routes, err := output("ip", "-4", "route", "show", "table", "all")
	return linesWith(routes, strings.TrimPrefix(serviceCIDR, "--service-cidr=")), err
}

func (i *instance) mounts() (string, error) {
	mounts, err := os.ReadFile("/proc/mounts")
	return linesWith(string(mounts), i.dataDir()), err
}

// processes returns the pids of what was started with the instance's name.
func (i *instance) processes() (string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	var pids []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), "--name="+i.name+"\x00") {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return strings.Join(pids, " "), err
}

func (i *instance) data() (string, error) {
	_, err := os.Stat(i.dataDir())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return i.dataDir(), err
}

func linesWith(text, part string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return strings.Join(found, "\n")
}
