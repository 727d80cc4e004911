// Actor is the program in the containers of the agent's tests. Each argument is one
// act, verb=what=text; an act that fails ends it with code 1 and says why.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long an act is tried again.
const patience = 30 * time.Second

// settling is how long a container runs before it does what the engine must notice.
const settling = 500 * time.Millisecond

// held is memory that an act keeps.
var held [][]byte

func main() {
	for _, arg := range os.Args[1:] {
		verb, rest, _ := strings.Cut(arg, "=")
		what, text, _ := strings.Cut(rest, "=")
		if err := act(verb, what, text); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", arg, err)
			os.Exit(1)
		}
	}
}

func act(verb, what, text string) error {
	switch verb {
	case "write":
		return os.WriteFile(what, []byte(text), 0o644)
	case "file": // contains the text, soon
		return eventually(func() error {
			content, err := os.ReadFile(what)
			if err == nil && !strings.Contains(string(content), text) {
				err = fmt.Errorf("has %q", content)
			}
			return err
		})
	case "is": // the whole of a file
		if content, err := os.ReadFile(what); err != nil || string(content) != text {
			return fmt.Errorf("has %q, %v", content, err)
		}
	case "mount": // an empty file system
		return syscall.Mount("tmpfs", what, "tmpfs", 0, "size=1m")
	case "mkdir":
		return os.Mkdir(what, 0o755)
	case "swaps": // a volume whose files a and b are whole and alike, until they are of that version
		return readSwaps(what, text)
	case "lacks": // does not contain the text
		content, err := os.ReadFile(what)
		if err == nil && strings.Contains(string(content), text) {
			err = fmt.Errorf("has %q", text)
		}
		return err
	case "absent": // does not exist
		if _, err := os.Lstat(what); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("is there: %v", err)
		}
	case "denied": // a file cannot be written
		if err := os.WriteFile(what, []byte("x"), 0o644); err == nil {
			return errors.New("could be written")
		}
	case "nodir": // a directory cannot be made, for want of permission
		if err := os.Mkdir(what, 0o755); !errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("got %v", err)
		}
	case "link": // leads there
		if got, err := os.Readlink(what); got != text {
			return fmt.Errorf("is %q, %v", got, err)
		}
	case "mode": // permissions, octal, and the group
		info, err := os.Stat(what)
		if err != nil {
			return err
		}
		if got := fmt.Sprintf("%04o:%d", info.Sys().(*syscall.Stat_t).Mode&0o7777, info.Sys().(*syscall.Stat_t).Gid); got != text {
			return fmt.Errorf("is %s", got)
		}
	case "chmod": // which only an owner may; octal
		mode, err := strconv.ParseUint(text, 8, 32)
		if err != nil {
			return err
		}
		return syscall.Chmod(what, uint32(mode))
	case "fill": // so many bytes
		size, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		return os.WriteFile(what, bytes.Repeat([]byte("x"), size), 0o644)
	case "full": // there is no room for so many
		if err := act("fill", what, text); !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("there is room: %v", err)
		}
	case "child": // does something in another process, which may come to any end
		child := exec.Command(os.Args[0], what)
		child.Stderr = os.Stderr
		_ = child.Run()
	case "env":
		if got := os.Getenv(what); got != text {
			return fmt.Errorf("is %q", got)
		}
	case "host":
		if got, _ := os.Hostname(); got != what {
			return fmt.Errorf("is %q", got)
		}
	case "user":
		if got := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()); got != what {
			return fmt.Errorf("is %s", got)
		}
	case "listen": // one connection
		listener, err := net.Listen("tcp", what)
		if err != nil {
			return err
		}
		_, err = listener.Accept()
		return err
	case "dial":
		return eventually(func() error { _, err := net.Dial("tcp", what); return err })
	case "unix": // a socket
		_, err := net.Dial("unix", what)
		return err
	case "sleep": // until SIGTERM
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		<-c
	case "exit":
		code, err := strconv.Atoi(what)
		if err == nil {
			os.Exit(code)
		}
		return err
	case "hold": // so many MiB of memory, until the end
		size, err := strconv.Atoi(what)
		if err != nil {
			return err
		}
		time.Sleep(settling) // as below
		for range size {
			held = append(held, bytes.Repeat([]byte{1}, 1<<20))
		}
	case "eat": // all the memory there is
		// containerd listens for a lack of memory only after a container has started: whoever
		// is faster just dies.
		time.Sleep(settling)
		var all [][]byte
		for {
			chunk := make([]byte, 1<<20)
			for n := range chunk {
				chunk[n] = 1
			}
			all = append(all, chunk)
		}
	default:
		return fmt.Errorf("unknown act")
	}
	return nil
}

func eventually(try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
