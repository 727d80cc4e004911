// Package pause carries the image of a pod's sandbox inside the binary, so that starting a pod pulls nothing.
//
// The image holds one static program of under 1 KB (pause.c, committed as built for amd64 and arm64) that keeps the
// pod's namespaces open, reaps orphans when it is pid 1 of a shared pid namespace, and ends with code 0 at once on
// SIGTERM or SIGINT. The package owns the program and the image around it; it never talks to Docker. Whoever does asks
// the engine for [Ref] and, when that is missing, loads [Tar] ("docker load").
//
// After a change to pause.c run ./rebuild; after a change to the image's configuration in this file raise the version
// in ./rebuild first. Either gives a new Ref, so an engine never keeps an outdated image under a current name.
package pause

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"time"
)

// The user and group of the sandbox's process: nobody's, because it needs no rights at all.
const user = "65535:65535"

// imageConfig is the part of the OCI image configuration that a pause image needs
// (https://github.com/opencontainers/image-spec/blob/main/config.md).
type imageConfig struct {
	Created      string          `json:"created"`
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	Config       containerConfig `json:"config"`
	RootFS       rootFS          `json:"rootfs"`
	History      []history       `json:"history"`
}

type containerConfig struct {
	User       string
	Entrypoint []string
	WorkingDir string
	Labels     map[string]string
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// manifestEntry is one image of a "docker save" archive's manifest.json.
type manifestEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Tar returns the image [Ref] for the architecture that this binary runs on, as the archive that "docker load" takes.
// The bytes are the same in every run and on every machine of one architecture.
func Tar() []byte {
	layer := archive(file{"pause", 0o755, binary})
	config := encode(imageConfig{
		Created:      epoch.Format(time.RFC3339),
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Config: containerConfig{
			User:       user,
			Entrypoint: []string{"/pause"},
			WorkingDir: "/",
			Labels:     map[string]string{"org.opencontainers.image.title": "kube-lite pause"},
		},
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{"sha256:" + digest(layer)}},
		History: []history{{Created: epoch.Format(time.RFC3339), CreatedBy: "kube-lite runtime/pause"}},
	})
	configName, layerName := digest(config)+".json", digest(layer)+"/layer.tar"
	manifest := encode([]manifestEntry{{Config: configName, RepoTags: []string{Ref}, Layers: []string{layerName}}})
	return archive(
		file{configName, 0o644, config},
		file{layerName, 0o644, layer},
		file{"manifest.json", 0o644, manifest},
	)
}

// epoch dates everything in the image: a real date would change its bytes, and with them its ID, from build to build.
var epoch = time.Unix(0, 0).UTC()

type file struct {
	name string
	mode int64
	data []byte
}

// archive packs files into a tar. It can't fail for a reason outside this file: a buffer takes every write, and the
// names are our own.
func archive(files ...file) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)),
			ModTime: epoch, Format: tar.FormatUSTAR,
		}
		must(w.WriteHeader(header))
		_, err := w.Write(f.data)
		must(err)
	}
	must(w.Close())
	return buf.Bytes()
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	must(err)
	return data
}

func digest(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func must(err error) {
	if err != nil {
		panic("pause: building the image: " + err.Error())
	}
}
