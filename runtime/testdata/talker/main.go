// Talker is the program in the containers of the streaming tests. Its first
// argument says what it does.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	switch arg := os.Args[2:]; os.Args[1] {
	case "sleep": // until SIGTERM
		await(unix.SIGTERM)
	case "deaf": // to everything but SIGKILL
		signal.Ignore(unix.SIGHUP, unix.SIGTERM)
		fmt.Println("deaf")
		await(unix.SIGUSR1)
	case "cat": // until the end of the input, and says so
		_, err := io.Copy(os.Stdout, os.Stdin)
		check(err)
		fmt.Fprintln(os.Stderr, "eof")
	case "exit":
		os.Exit(number(arg[0]))
	case "say": // one line on each output
		fmt.Println(arg[0])
		fmt.Fprintln(os.Stderr, arg[1])
	case "print": // as it is, without a line end
		_, err := os.Stdout.WriteString(arg[0])
		check(err)
	case "lines":
		lines(number(arg[0]))
	case "long": // a line between two short ones
		fmt.Printf("before\n%s\nafter\n", bytes.Repeat([]byte("x"), number(arg[0])))
	case "ps":
		ps()
	case "size":
		size()
	case "echo":
		echo(arg)
	case "count": // what each connection sent until it closed its side
		serve(arg[0], func(c net.Conn) { n, _ := io.Copy(io.Discard, c); fmt.Fprint(c, n) })
	case "pour": // at each connection, until it is gone
		serve(arg[0], func(c net.Conn) { pour(c, []byte("more\n")); fmt.Println("gone") })
	case "mute": // to each connection, which it closes after a byte
		serve(arg[0], func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	case "leave": // a process that holds the outputs, in its own process group, or its own session too
		leave(arg[0] == "session")
		os.Exit(3)
	case "lead": // such a process, and stays
		leave(false)
		fmt.Println("leads")
		await(unix.SIGUSR1)
	case "shut": // closes its outputs, but ends with the input only
		os.Stdout.Close()
		os.Stderr.Close()
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(7)
	}
}

func leave(session bool) {
	child := exec.Command("/proc/self/exe", "sleep", "left")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: session, Setpgid: !session}
	check(child.Start())
}

func await(s ...os.Signal) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, s...)
	<-c
}

func lines(n int) {
	var out bytes.Buffer
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&out, "line %d\n", i)
	}
	_, err := out.WriteTo(os.Stdout)
	check(err)
}

// ps prints the command line of every process.
func ps() {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range found {
		line, _ := os.ReadFile(name)
		fmt.Println(strings.ReplaceAll(string(line), "\x00", " "))
	}
}

// size prints the terminal's size whenever a line is entered.
func size() {
	for b := make([]byte, 1); ; {
		if n, err := os.Stdin.Read(b); n == 0 || err != nil {
			return
		}
		if b[0] == 'q' {
			return
		}
		if b[0] != '\n' && b[0] != '\r' {
			continue
		}
		s, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			fmt.Println("no terminal")
			continue
		}
		fmt.Printf("size %dx%d\n", s.Col, s.Row)
	}
}

func echo(addresses []string) {
	for _, address := range addresses[1:] {
		go serve(address, func(c net.Conn) { _, _ = io.Copy(c, c) })
	}
	serve(addresses[0], func(c net.Conn) { _, _ = io.Copy(c, c) })
}

func serve(address string, answer func(net.Conn)) {
	l, err := net.Listen("tcp", address)
	check(err)
	fmt.Println("listening on", address)
	for {
		c, err := l.Accept()
		check(err)
		go func() { defer c.Close(); answer(c) }()
	}
}

// pour writes now and then.
func pour(to io.Writer, text []byte) {
	for {
		if _, err := to.Write(text); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
