package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// terminated tells when the container is to end. Every command that waits asks: pid 1 gets no signal that it does not
// handle.
func terminated() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	return signals
}

func sleep(args []string) error {
	signals := terminated()
	if i := slices.Index(args, "--ignore-term"); i >= 0 {
		signal.Ignore(syscall.SIGTERM)
		args = slices.Delete(args, i, i+1)
	}
	if len(args) == 0 {
		<-signals
		return nil
	}
	duration, err := time.ParseDuration(args[0])
	if err != nil {
		return errUsage
	}
	select {
	case <-signals:
	case <-time.After(duration):
	}
	return nil
}

func exit(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return errUsage
	}
	if len(args) > 1 {
		if err := sleep(args[1:]); err != nil {
			return err
		}
	}
	os.Exit(code)
	return nil
}

func printWords(args []string) error {
	out := os.Stdout
	if len(args) > 0 && args[0] == "--stderr" {
		out, args = os.Stderr, args[1:]
	}
	_, err := fmt.Fprintln(out, strings.Join(args, " "))
	return err
}

func cat(args []string) error {
	in := os.Stdin
	if len(args) > 0 {
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	_, err := io.Copy(os.Stdout, in)
	return err
}

func write(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	return os.WriteFile(args[0], []byte(args[1]), 0o644)
}

func env(args []string) error {
	if len(args) == 0 {
		fmt.Println(strings.Join(os.Environ(), "\n"))
	}
	for _, name := range args {
		value, ok := os.LookupEnv(name)
		if !ok {
			return fmt.Errorf("%s is not set", name)
		}
		fmt.Println(value)
	}
	return nil
}

func inspect(args []string) error {
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"args": args, "dir": dir, "hostname": hostname, "pid": os.Getpid(), "uid": os.Getuid(), "gid": os.Getgid(),
	})
}

func tty([]string) error {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	ended := terminated()
	for {
		size, err := unix.IoctlGetWinsize(int(os.Stdin.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return fmt.Errorf("stdin is no terminal: %w", err)
		}
		fmt.Printf("%dx%d\n", size.Col, size.Row)
		select {
		case <-changed:
		case <-ended:
			return nil
		}
	}
}

// orphan starts a child that starts a grandchild and ends: the grandchild is pid 1's from then on.
func orphan(args []string) error {
	if len(args) > 0 && args[0] == "child" {
		return exec.Command("/proc/self/exe", "sleep", "100ms").Start()
	}
	if err := exec.Command("/proc/self/exe", "orphan", "child").Run(); err != nil {
		return err
	}
	fmt.Println("left an orphan")
	<-terminated()
	return nil
}

func terminate(args []string) error {
	pid := 1
	if len(args) > 0 {
		var err error
		if pid, err = strconv.Atoi(args[0]); err != nil {
			return errUsage
		}
	}
	return syscall.Kill(pid, syscall.SIGTERM)
}

// burnSlice is how long burn works or rests at a time: short against what any measurement spans.
const burnSlice = 100 * time.Millisecond

func burn(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	millicores, err := strconv.Atoi(args[0])
	if err != nil || millicores <= 0 || millicores > 1000 {
		return errUsage
	}
	work := burnSlice * time.Duration(millicores) / 1000
	rest := time.NewTicker(burnSlice)
	defer rest.Stop()
	ended := terminated()
	for until := args[1]; ; {
		for began := time.Now(); time.Since(began) < work; {
		}
		if _, err := os.Stat(until); err == nil {
			<-ended
			return nil
		}
		select {
		case <-rest.C:
		case <-ended:
			return nil
		}
	}
}

func alloc(args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	mib, err := strconv.Atoi(args[0])
	if err != nil {
		return errUsage
	}
	memory := make([]byte, mib<<20)
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	fmt.Printf("filled %d MiB\n", mib)
	<-terminated()
	return nil
}
