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
	"slices"
	"strings"
)

// miscounted is what reset says of an engine that counts an endpoint which is not there (moby/moby issue 42119): that is
// the engine's doing, and its to mend.
const miscounted = "all else is removed: remove network "

// noInstance is what reset says when a test has reset the instance itself.
const noInstance = "there is no instance"

// remove takes the instance off the machine by its own command and checks that nothing of it is left.
func (i *instance) remove() error {
	defer os.RemoveAll(i.scratch)
	defer i.release()
	if !i.began {
		return nil
	}
	errs := []error{i.checkPrefix()}
	reset := i.do(i.withEngine("reset", "--yes")...)
	left, err := i.leftovers()
	if reset != nil && strings.Contains(reset.Error(), miscounted) {
		fmt.Fprintln(os.Stderr, reset)
		left = slices.DeleteFunc(left, func(what string) bool {
			return strings.HasPrefix(what, "networks:") || strings.HasPrefix(what, "devices:")
		})
		reset = nil
	}
	if reset != nil && strings.Contains(reset.Error(), noInstance) {
		reset = nil
	}
	errs = append(errs, reset)
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
			return i.docker("ps", "--all", "--filter", i.label(), "--format", "{{.Names}}")
		},
		"networks": func() (string, error) {
			return i.docker("network", "ls", "--filter", i.label(), "--format", "{{.Name}}")
		},
		"volumes": func() (string, error) {
			return i.docker("volume", "ls", "--filter", i.label(), "--format", "{{.Name}}")
		},
		"chains":    i.chains,
		"tables":    i.tables,
		"routes":    i.routes,
		"devices":   i.devices,
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

// withEngine adds the flag that names the engine, if it is not the machine's.
func (i *instance) withEngine(args ...string) []string {
	if i.dockerHost != "" {
		args = append(args, "--docker-host="+i.dockerHost)
	}
	return args
}

// docker runs a docker command on the instance's engine.
func (i *instance) docker(args ...string) (string, error) {
	if i.dockerHost != "" {
		args = append([]string{"--host=" + i.dockerHost}, args...)
	}
	return output("docker", args...)
}

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

// tables returns the instance's table of nftables.
func (i *instance) tables() (string, error) {
	if _, err := exec.LookPath("nft"); err != nil {
		return "", nil
	}
	tables, err := output("nft", "list", "tables")
	return linesWith(tables, "kube-lite-"+i.name), err
}

// chains returns the lines of iptables-save, of both IP families, that name a chain of the instance.
func (i *instance) chains() (string, error) {
	rules, err := output("iptables-save")
	rules6, err6 := output("ip6tables-save")
	return linesWith(rules+"\n"+rules6, i.chainPrefix()), errors.Join(err, err6)
}

func (i *instance) routes() (string, error) {
	routes, err := output("ip", "-4", "route", "show", "table", "all")
	routes6, err6 := output("ip", "-6", "route", "show", "table", "all")
	return linesWith(routes+"\n"+routes6, i.flag("service-cidr")), errors.Join(err, err6)
}

// devices returns the pod bridge, which holds the first address of the pod CIDR.
func (i *instance) devices() (string, error) {
	addresses, err := output("ip", "-4", "-oneline", "address")
	network := strings.TrimSuffix(i.flag("pod-cidr"), ".0/16")
	return linesWith(addresses, " "+network+".1/"), err
}

// flag returns the value of a flag of start.
func (i *instance) flag(name string) string {
	for _, flag := range i.flags {
		if value, ok := strings.CutPrefix(flag, "--"+name+"="); ok {
			return value
		}
	}
	return ""
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
