package docker

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/config"
)

// fakeDaemon answers /version as an engine of that API version, on a socket.
func fakeDaemon(t *testing.T, api string) (host string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", api)
		_ = json.NewEncoder(w).Encode(map[string]string{"Version": "1.2.3", "ApiVersion": api, "MinAPIVersion": "1.12"})
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "unix://" + path
}

func TestConnectSaysInOneLineWhatIsWrong(t *testing.T) {
	missing := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	for _, c := range []struct {
		name, host string
		want       error
		says       string
	}{
		{"no engine", missing, ErrNoDocker, "install it"},
		{"old engine", fakeDaemon(t, "1.40"), ErrTooOld, "upgrade to Docker Engine 20.10"},
		{"very old engine", fakeDaemon(t, "1.20"), ErrTooOld, "too old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Connect(t.Context(), c.host, nil)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("no permission", func(t *testing.T) {
		err := unreachable("unix:///x", fmt.Errorf("dial: %w", fs.ErrPermission))
		if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "group docker") {
			t.Errorf("got %v", err)
		}
	})
}

func TestConnectFindsTheEngineAsTheDockerCommandDoes(t *testing.T) {
	first, second, third := fakeDaemon(t, "1.41"), fakeDaemon(t, "1.43"), fakeDaemon(t, "1.44")
	before := config.Dir()
	config.SetDir(t.TempDir()) // the package reads DOCKER_CONFIG once per process
	t.Cleanup(func() { config.SetDir(before) })
	writeContext(t, "work", second)
	for _, c := range []struct {
		name string
		env  map[string]string
		host string
		want string
	}{
		{name: "the flag", host: first, env: map[string]string{"DOCKER_HOST": third}, want: first},
		{name: "DOCKER_HOST", env: map[string]string{"DOCKER_HOST": third, "DOCKER_CONTEXT": "work"}, want: third},
		{name: "DOCKER_CONTEXT", env: map[string]string{"DOCKER_CONTEXT": "work"}, want: second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", "")
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			e, err := Connect(t.Context(), c.host, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if e.Host() != c.want {
				t.Errorf("connected to %s, want %s", e.Host(), c.want)
			}
			if host, err := ResolveHost(c.host); err != nil || host != c.want {
				t.Errorf("resolved to %s, %v; want %s", host, err, c.want)
			}
		})
	}
	t.Run("a context that does not exist", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "")
		t.Setenv("DOCKER_CONTEXT", "nowhere")
		if _, err := Connect(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), `context "nowhere"`) {
			t.Errorf("got %v", err)
		}
	})
}

// writeContext stores a context as `docker context create` does.
func writeContext(t *testing.T, name, host string) {
	t.Helper()
	dir := filepath.Join(contextDir(), "meta", contextHash(name))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	meta := fmt.Sprintf(`{"Name":%q,"Metadata":{},"Endpoints":{"docker":{"Host":%q}}}`, name, host)
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(meta), 0o644); err != nil {
		t.Fatal(err)
	}
}

func contextDir() string { return config.ContextStoreDir() }

// contextHash is the name of a context's directory.
func contextHash(name string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(name))) }
