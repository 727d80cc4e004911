package cli

import (
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/apiserver"
)

// stamped is set by scripts/build through the linker; `go install` leaves it
// empty and the module's own version counts.
var stamped string

// version is kube-lite's version.
func version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func versionCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the versions of kube-lite and of the Kubernetes API that it serves",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "json"},
			&cli.BoolFlag{Name: "client", Usage: "accepted for kubectl's sake: all that is printed is about this program"},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			switch c.String("output") {
			case "json":
				return json.NewEncoder(e.stdout).Encode(map[string]string{
					"version": version(), "kubernetesVersion": apiserver.KubernetesVersion,
				})
			case "":
				return e.printVersion()
			}
			return fmt.Errorf("version: --output %q: use json", c.String("output"))
		},
	}
}

func (e *env) printVersion() error {
	_, err := fmt.Fprintf(e.stdout, "kube-lite %s\nKubernetes %s\n", version(), apiserver.KubernetesVersion)
	return err
}
