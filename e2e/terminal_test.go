package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a command on a pseudo-terminal, as in a user's window: what it prints can be read, keys can be typed.
type terminal struct {
	master *os.File
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the screen is complete

	mu     sync.Mutex // guards screen
	screen strings.Builder
}

// onTerminal starts a verb that is used interactively. It ends with the test at the latest.
func (n namespace) onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	master, slave := openTerminal(t)
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	cmd := n.in.command(ctx, n.args(args)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	term := &terminal{master: master, cmd: cmd, ended: make(chan struct{})}
	term.resize(t, 80, 24)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	go term.read()
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		master.Close()
		<-term.ended
	})
	return term
}

// openTerminal is openpty(3).
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// read collects the screen until the last process has closed the terminal, which shows as an I/O error.
func (term *terminal) read() {
	defer close(term.ended)
	io.Copy(writerFunc(func(data []byte) (int, error) {
		term.mu.Lock()
		defer term.mu.Unlock()
		return term.screen.Write(data)
	}), term.master)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(data []byte) (int, error) { return f(data) }

// shown is everything on the screen so far.
func (term *terminal) shown() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

func (term *terminal) waitFor(t *testing.T, text string) {
	t.Helper()
	eventually(t, func() error {
		if shown := term.shown(); !strings.Contains(shown, text) {
			return fmt.Errorf("the screen has no %q: %q", text, shown)
		}
		return nil
	})
}

// enter types a line.
func (term *terminal) enter(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(term.master, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (term *terminal) resize(t *testing.T, columns, rows uint16) {
	t.Helper()
	size := &unix.Winsize{Col: columns, Row: rows}
	if err := unix.IoctlSetWinsize(int(term.master.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
}

// exitCode waits for the command to end.
func (term *terminal) exitCode(t *testing.T) int {
	t.Helper()
	err := term.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v; the screen has %q", err, term.shown())
	}
	return term.cmd.ProcessState.ExitCode()
}
