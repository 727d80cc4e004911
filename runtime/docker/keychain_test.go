package docker

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/cli/cli/config"
	"golang.org/x/sys/unix"
)

// withConfig gives the docker command's configuration another place for one test.
func withConfig(t *testing.T, text string) {
	t.Helper()
	before := config.Dir()
	config.SetDir(t.TempDir()) // the package reads DOCKER_CONFIG once per process
	t.Cleanup(func() { config.SetDir(before) })
	if err := os.WriteFile(filepath.Join(config.Dir(), "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCredentialsAreThoseOfTheDockerCommand(t *testing.T) {
	e := &Engine{log: slog.New(slog.DiscardHandler)}
	withConfig(t, `{"auths": {"https://index.docker.io/v1/": {"auth": "YW5uOmh1c2g="}, "registry.example:5000": {"auth": "Ym9iOng="}}}`)
	for ref, want := range map[string]string{"nginx": "ann", "docker.io/team/app:1": "ann", "registry.example:5000/app": "bob", "other.example/app": "", "NOT//VALID": ""} {
		if got := e.ownCredentials(t.Context(), ref).Username; got != want {
			t.Errorf("%s is pulled by %q, want %q", ref, got, want)
		}
	}
}

func TestKeychainThatHangsHoldsNobody(t *testing.T) {
	e := &Engine{log: slog.New(slog.DiscardHandler)}
	programs := t.TempDir()
	locked := filepath.Join(programs, "locked")
	script := "#!/bin/sh\nread key < " + locked + "\n"
	if err := errors.Join(unix.Mkfifo(locked, 0o600), os.WriteFile(filepath.Join(programs, "docker-credential-test"), []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	withConfig(t, `{"credsStore": "test"}`)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan Credentials)
	go func() { answer <- e.ownCredentials(ctx, "registry.example/app") }()
	key, err := os.OpenFile(locked, os.O_WRONLY, 0) // returns when the program waits for it
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close() // lets the program end
	cancel()
	select {
	case got := <-answer:
		if got != (Credentials{}) {
			t.Errorf("got %+v", got)
		}
	case <-time.After(patience):
		t.Error("the pull waits for the keychain")
		key.Close()
		<-answer
	}
}
