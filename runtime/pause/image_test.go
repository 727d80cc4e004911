package pause

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// maxSize bounds a committed binary in bytes: more means that a libc or debug information slipped in.
const maxSize = 4096

func TestCommittedBinariesAreSmallStaticAndForTheirMachine(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			f, err := elf.Open("pause-" + arch)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Machine != machine {
				t.Errorf("machine is %v, want %v", f.Machine, machine)
			}
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
					t.Errorf("has a %v segment: not static", p.Type)
				}
				if p.Type == elf.PT_LOAD && p.Flags&elf.PF_W != 0 {
					t.Errorf("has a writable segment of %d bytes", p.Memsz)
				}
			}
			if info, err := os.Stat("pause-" + arch); err != nil || info.Size() > maxSize {
				t.Errorf("is %v bytes (error %v), want at most %d", info.Size(), err, maxSize)
			}
		})
	}
}

// Rebuilding without committing the Go files, or the other way round, would ship a binary under another one's name.
func TestRefNamesTheEmbeddedBinary(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		data, err := os.ReadFile("pause-" + arch)
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile("embed_" + arch + ".go")
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%x", sha256.Sum256(data))[:12]
		match := regexp.MustCompile(`const Ref = "kube-lite/pause:\d+-([0-9a-f]{12})"`).FindSubmatch(source)
		if match == nil || string(match[1]) != want {
			t.Errorf("embed_%s.go names %q, want a Ref that ends in %s", arch, match, want)
		}
	}
	committed, err := os.ReadFile("pause-" + runtime.GOARCH)
	if err != nil || !bytes.Equal(committed, binary) {
		t.Errorf("the embedded binary is not the committed one (error %v)", err)
	}
}

func TestTarIsReproducible(t *testing.T) {
	if !bytes.Equal(Tar(), Tar()) {
		t.Error("two calls gave different bytes")
	}
}

func TestTarDescribesThePauseImage(t *testing.T) {
	files := untar(t, Tar())
	var manifest []manifestEntry
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || len(manifest[0].Layers) != 1 || len(manifest[0].RepoTags) != 1 || manifest[0].RepoTags[0] != Ref {
		t.Fatalf("manifest is %+v, want one image of one layer tagged %s", manifest, Ref)
	}
	var config imageConfig
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	if config.Architecture != runtime.GOARCH || config.OS != "linux" || fmt.Sprint(config.Config.Entrypoint) != "[/pause]" {
		t.Errorf("config is %+v, want linux/%s with entrypoint /pause", config, runtime.GOARCH)
	}
	layer := files[manifest[0].Layers[0]]
	if want := "sha256:" + digest(layer); config.RootFS.DiffIDs[0] != want {
		t.Errorf("diff ID is %s, want %s", config.RootFS.DiffIDs[0], want)
	}
	if got := untar(t, layer)["pause"]; !bytes.Equal(got, binary) {
		t.Errorf("layer's /pause has %d bytes that are not the binary's %d", len(got), len(binary))
	}
}

func TestDockerRunsTheLoadedImage(t *testing.T) {
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		t.Skipf("Docker is not reachable: %v: %s", err, out)
	}
	load := exec.Command("docker", "load")
	load.Stdin = bytes.NewReader(Tar())
	if out, err := load.CombinedOutput(); err != nil || !strings.Contains(string(out), Ref) {
		t.Fatalf("docker load: %v: %s", err, out)
	}
	// The image stays: it may have been there before, and a daemon on this machine may be using it.
	id := docker(t, "create", "--network=none", Ref)
	t.Cleanup(func() { docker(t, "rm", "-f", id) })
	docker(t, "start", id)
	waitUntilBlocked(t, docker(t, "inspect", "-f", "{{.State.Pid}}", id))
	docker(t, "kill", "--signal=TERM", id)
	if code := docker(t, "wait", id); code != "0" {
		t.Errorf("after SIGTERM the container ended with %s, want 0", code)
	}
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("docker %v: %v: %s", args, err, exit.Stderr)
		}
		t.Fatalf("docker %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func untar(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
