package netproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-iptables/iptables"
)

// runner runs iptables-save and iptables-restore --noflush, or stands in for them in tests.
type runner interface {
	// save returns the rules of one table.
	save(ctx context.Context, table string) ([]byte, error)
	// restore applies text as one transaction per table; chains that it does not name stay as they are.
	restore(ctx context.Context, text []byte) error
}

const (
	// programTimeout and programTimePerByte are far above what a program takes that does not hang: each Service is about
	// 1,000 bytes for iptables-restore, which needs the longer for each the more there are.
	programTimeout     = 2 * time.Minute
	programTimePerByte = 50 * time.Microsecond
	// lockSeconds is how long iptables in legacy mode waits for other programs that hold its lock.
	lockSeconds = 5
)

// iptablesTools are the machine's.
type iptablesTools struct {
	program
	family   family
	features features
	legacy   bool // not in nf_tables mode: the kernel does not tell about changes
}

// errNotFound tells a missing package from a broken one.
var errNotFound = errors.New("iptables not found: install the package iptables")

// findIPTables finds iptables as the machine's PATH has it, or else where root's shell would.
func findIPTables(f family) (*iptablesTools, error) {
	path, err := findProgram(f.iptables())
	if err != nil {
		return nil, errNotFound
	}
	ipt, err := iptables.New(iptables.IPFamily(f.iptablesProtocol()), iptables.Path(path), iptables.Timeout(lockSeconds))
	if err != nil {
		return nil, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	b := &iptablesTools{family: f, features: features{randomFully: ipt.HasRandomFully()}}
	if b.savePath, err = findProgram(f.iptables() + "-save"); err != nil {
		return nil, errNotFound
	}
	if b.restorePath, err = findProgram(f.iptables() + "-restore"); err != nil {
		return nil, errNotFound
	}
	v1, v2, v3 := ipt.GetIptablesVersion()
	b.wait = v1 > 1 || v2 > 6 || v2 == 6 && v3 >= 2 // the first whose iptables-restore knows --wait
	version, err := runProgram(context.Background(), b.restorePath, nil, "--version")
	b.legacy = err != nil || !bytes.Contains(version, []byte("nf_tables"))
	return b, nil
}

func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	return path, err
}

// program runs the real iptables-save and iptables-restore.
type program struct {
	savePath, restorePath string
	wait                  bool
}

func (p program) save(ctx context.Context, table string) ([]byte, error) {
	out, err := runProgram(ctx, p.savePath, nil, "-t", table)
	if err == nil && bytes.Contains(out, []byte("is incompatible")) {
		err = fmt.Errorf("reading table %s: it has rules that only the program nft understands", table)
	}
	return out, err
}

func (p program) restore(ctx context.Context, text []byte) error {
	args := []string{"--noflush"}
	if p.wait {
		args = append(args, fmt.Sprintf("--wait=%d", lockSeconds))
	}
	_, err := runProgram(ctx, p.restorePath, text, args...)
	return err
}

// runProgram returns what a program prints, or has its error say what it complained about.
func runProgram(ctx context.Context, path string, stdin []byte, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, programTimeout+time.Duration(len(stdin))*programTimePerByte)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.Join(strings.Fields(stderr.String()), " ")
		return nil, fmt.Errorf("running %s: %w: %s", filepath.Base(path), err, said)
	}
	return stdout.Bytes(), nil
}

// check makes and removes a chain of its own in the tables nat and filter.
func (b *iptablesTools) check(ctx context.Context) error {
	f := b.family
	for _, table := range tables() {
		if b.try(ctx, table, f.requiredRules(table)...) == nil {
			continue
		}
		for _, rule := range f.requiredRules(table) { // which one?
			if err := b.try(ctx, table, rule); err != nil {
				return fmt.Errorf("this machine's "+f.iptables()+" cannot do what Services need (table %s, rule %q): %w", table, rule, err)
			}
		}
	}
	return nil
}

// requiredRules use each match and target that all rules are made of.
func (f family) requiredRules(table string) []string {
	if table == "filter" {
		return []string{
			"-p tcp -m mark --mark " + rejectMark + " -j REJECT --reject-with tcp-reset",
			"-m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT",
		}
	}
	return []string{
		`-p tcp -m tcp --dport 1:2 -m comment --comment "kube-lite" -j DNAT --to-destination ` + f.example(),
		"-m statistic --mode random --probability 0.5 -j MARK --set-xmark " + masqueradeMark,
		"-m addrtype --dst-type LOCAL -j MASQUERADE",
	}
}

// example is an address for documentation.
func (f family) example() string { return f.choose("192.0.2.1:1", "[2001:db8::1]:1") }

// probe finds out about the features that cannot be told from the version.
func (b *iptablesTools) probe(ctx context.Context) features {
	const recent = "-m recent --name kube-lite-try --rcheck --seconds 1 --reap -j RETURN"
	sctp := "-p sctp -m sctp --dport 1 -j DNAT --to-destination " + b.family.example()
	f := b.features
	both := b.try(ctx, "nat", recent, sctp) == nil
	f.recent = both || b.try(ctx, "nat", recent) == nil
	f.sctp = both || b.try(ctx, "nat", sctp) == nil
	return f
}

// try puts rules into a chain that nothing jumps to, and removes it. Two runs, so that the kernel sees the rules.
func (b *iptablesTools) try(ctx context.Context, table string, rules ...string) error {
	chain := fmt.Sprintf("KUBE-LITE-TRY-%d", os.Getpid())
	head := "*" + table + "\n:" + chain + " - [0:0]\n"
	text := head
	for _, rule := range rules {
		text += "-A " + chain + " " + rule + "\n"
	}
	if err := b.restore(ctx, []byte(text+"COMMIT\n")); err != nil {
		return err
	}
	return b.restore(ctx, []byte(head+"-X "+chain+"\nCOMMIT\n"))
}
