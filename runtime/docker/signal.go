package docker

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultStopSignal is what Docker sends to a container whose image and declaration name none.
const defaultStopSignal = "SIGTERM"

// The first and the last real-time signal, as Docker and the C library count them.
const (
	firstRealTime = 34
	lastRealTime  = 64
)

// stopSignal is the API's name of the signal that Docker stops a container with: an image may
// call it SIGTERM, term or 15. One that nobody knows, which Docker would refuse to send, is empty.
func stopSignal(declared string) string {
	if declared == "" {
		return defaultStopSignal
	}
	if number, err := strconv.Atoi(declared); err == nil {
		return signalName(number)
	}
	name := strings.ToUpper(declared)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if unix.SignalNum(name) == 0 && !strings.HasPrefix(name, "SIGRTM") {
		return ""
	}
	return name
}

// signalName names the real-time signals of the lower half after the first one, the others after
// the last one, as the API does.
func signalName(number int) string {
	switch middle := (firstRealTime + lastRealTime) / 2; {
	case number == firstRealTime:
		return "SIGRTMIN"
	case number == lastRealTime:
		return "SIGRTMAX"
	case number > firstRealTime && number <= middle:
		return fmt.Sprintf("SIGRTMIN+%d", number-firstRealTime)
	case number > middle && number < lastRealTime:
		return fmt.Sprintf("SIGRTMAX-%d", lastRealTime-number)
	}
	return unix.SignalName(unix.Signal(number))
}
