package streaming

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"
	utilexec "k8s.io/utils/exec"
)

// serveV5 serves exec and attach over a WebSocket in the fifth version of the
// protocol, in which the client can close its input: today's kubectl speaks no
// other. The streaming package that serves all else has no fifth version; a kubelet
// translates it to SPDY and back. See KEP-4006.
func (s *Server) serveV5(w http.ResponseWriter, r *http.Request, opts *remotecommand.Options,
	run func(in io.Reader, out, err io.WriteCloser, resize <-chan remotecommand.TerminalSize) error) {
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
		remotecommand.StreamProtocolV5Name: {Binary: true, Channels: v5Channels(opts)},
	})
	conn.SetIdleTimeout(streamIdleTimeout)
	_, channels, err := conn.Open(w, r)
	if err != nil {
		s.log.Debug("a WebSocket could not be opened", "path", r.URL.Path, "error", err) // the client has been told
		return
	}
	defer conn.Close()
	sizes := make(chan remotecommand.TerminalSize)
	s.spawn(func() { decodeSizes(r.Context(), channels[remotecommand.StreamResize], sizes) })
	result := run(channels[remotecommand.StreamStdIn], channels[remotecommand.StreamStdOut], channels[remotecommand.StreamStdErr], sizes)
	if err := json.NewEncoder(channels[remotecommand.StreamErr]).Encode(v5Status(result)); err != nil {
		s.log.Debug("a client went before it heard how its command ended", "path", r.URL.Path, "error", err)
	}
}

// v5Channels opens the channels that were asked for, and always those for the
// status and the terminal's size.
func v5Channels(opts *remotecommand.Options) []wsstream.ChannelType {
	channels := make([]wsstream.ChannelType, remotecommand.StreamResize+1) // IgnoreChannel, all
	if opts.Stdin {
		channels[remotecommand.StreamStdIn] = wsstream.ReadChannel
	}
	if opts.Stdout {
		channels[remotecommand.StreamStdOut] = wsstream.WriteChannel
	}
	if opts.Stderr {
		channels[remotecommand.StreamStdErr] = wsstream.WriteChannel
	}
	channels[remotecommand.StreamErr] = wsstream.WriteChannel
	channels[remotecommand.StreamResize] = wsstream.ReadChannel
	return channels
}

// decodeSizes passes the terminal's sizes on until their channel or ctx ends.
func decodeSizes(ctx context.Context, from io.Reader, to chan<- remotecommand.TerminalSize) {
	defer close(to)
	decoder := json.NewDecoder(from)
	for {
		var size remotecommand.TerminalSize
		if decoder.Decode(&size) != nil {
			return
		}
		select {
		case to <- size:
		case <-ctx.Done():
			return
		}
	}
}

// v5Status is how a session ended, for the client: a failure with the command's
// exit code, or an internal error.
func v5Status(err error) metav1.Status {
	var exit utilexec.ExitError
	switch {
	case err == nil:
		return metav1.Status{Status: metav1.StatusSuccess}
	case errors.As(err, &exit):
		return metav1.Status{
			Status:  metav1.StatusFailure,
			Reason:  remotecommand.NonZeroExitCodeReason,
			Message: fmt.Sprintf("command terminated with non-zero exit code: %v", exit),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
				{Type: remotecommand.ExitCodeCauseType, Message: strconv.Itoa(exit.ExitStatus())},
			}},
		}
	}
	return metav1.Status{
		Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Code: http.StatusInternalServerError,
		Message: fmt.Sprintf("Internal error occurred: %v", err),
	}
}
