package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubectl/pkg/cmd/cp"
	"k8s.io/kubectl/pkg/cmd/exec"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	utilexec "k8s.io/utils/exec"
)

// runCopy is what cp does. kubectl's own ends as soon as an archive does: it often succeeds
// before it hears that tar failed in the container, and then has copied nothing.
func runCopy(f cmdutil.Factory, streams genericiooptions.IOStreams) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		o := cp.NewCopyOptions(streams)
		o.Container = cmdutil.GetFlagString(cmd, "container")
		o.NoPreserve = cmdutil.GetFlagBool(cmd, "no-preserve")
		o.MaxTries = cmdutil.GetFlagInt(cmd, "retries")
		cmdutil.CheckErr(o.Complete(f, cmd, args))
		tar := &tarExecutor{RemoteExecutor: o.Executor, stderr: streams.ErrOut, unpacked: make(chan struct{})}
		o.Executor = tar
		cmdutil.CheckErr(o.Validate())
		err := o.Run()
		if err == nil {
			close(tar.unpacked)
			tar.running.Wait()
		}
		cmdutil.CheckErr(tar.failure()) // which is why the archive ends early
		cmdutil.CheckErr(err)
	}
}

// tarExecutor runs the commands of one cp and keeps the error of tar.
type tarExecutor struct {
	exec.RemoteExecutor
	stderr   io.Writer     // takes what tar says, which kubectl has among its output
	unpacked chan struct{} // closed when nobody reads more of an archive
	running  sync.WaitGroup

	mu  sync.Mutex // guards err
	err error
}

// failure is the error of a tar that has ended.
func (t *tarExecutor) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Execute implements exec.RemoteExecutor. The error of tar is not returned: it would end the
// process while kubectl still unpacks what came.
func (t *tarExecutor) Execute(at *url.URL, config *restclient.Config, stdin io.Reader, stdout, stderr io.Writer, tty bool, sizes remotecommand.TerminalSizeQueue) error {
	program := at.Query().Get("command")
	if program == "test" { // whether the destination is a directory
		return t.RemoteExecutor.Execute(at, config, stdin, stdout, stderr, tty, sizes)
	}
	t.running.Add(1)
	defer t.running.Done()
	archive := &archiveWriter{to: stdout, over: t.unpacked}
	err := copyError(program, t.RemoteExecutor.Execute(at, config, stdin, archive, t.stderr, tty, sizes))
	if err == nil && program == "sh" && !archive.filled { // it ends with the code of another than tar
		err = errors.New("cannot copy: tar in the container found nothing")
	}
	t.mu.Lock()
	t.err = err
	t.mu.Unlock()
	if program == "tar" {
		return nil
	}
	return err // of a shell that retries: or it would for ever
}

// copyError says what went wrong in the container.
func copyError(program string, err error) error {
	var exit utilexec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return fmt.Errorf("cannot copy: %s in the container ended with exit code %d", program, exit.ExitStatus())
	case strings.Contains(err.Error(), "executable file not found"):
		return fmt.Errorf("cannot copy: the container has no %q, which cp runs in it", program)
	}
	return err
}

// archiveWriter writes to kubectl's reader of an archive, which leaves the zeros unread that
// follow the archive's end.
type archiveWriter struct {
	to   io.Writer
	over <-chan struct{}
	// filled tells that there was more than zeros.
	filled bool
}

func (w *archiveWriter) Write(p []byte) (int, error) {
	w.filled = w.filled || len(bytes.Trim(p, "\x00")) > 0
	text, written := bytes.Clone(p), make(chan error, 1)
	go func() { // ends with the process if nobody reads
		_, err := w.to.Write(text)
		written <- err
	}()
	select {
	case err := <-written:
		if err != nil {
			return 0, err
		}
	case <-w.over:
	}
	return len(p), nil
}
