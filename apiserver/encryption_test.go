package apiserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	reload "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	kms "k8s.io/kms/pkg/service"

	"github.com/kube-lite/kube-lite/store"
)

const secretText = "correct-horse-battery-staple"

func (s *testServer) putSecret(t *testing.T, name string) {
	t.Helper()
	_, err := s.client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"password": secretText},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *testServer) wantSecret(t *testing.T, name string) {
	t.Helper()
	secret, err := s.client.CoreV1().Secrets("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(secret.Data["password"]); got != secretText {
		t.Errorf("Secret %s holds %q", name, got)
	}
}

// stored is whether the store file has this text in it.
func stored(t *testing.T, dir, text string) bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "kube-lite.db"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(b, []byte(text))
}

// aesConfig writes a configuration with these keys, the first of which writes.
func aesConfig(t *testing.T, file string, keys ...string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets, configmaps]\n  providers:\n  - aesgcm:\n      keys:\n")
	for _, k := range keys {
		fmt.Fprintf(&b, "      - {name: %s, secret: %s}\n", k, base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%-32s", k)))
	}
	b.WriteString("  - identity: {}\n")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSecretsAreEncryptedWithTheKeyOfTheInstance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	s.putSecret(t, "one")
	s.stop()
	if stored(t, dir, secretText) {
		t.Error("the store file has the Secret in the clear")
	}
	if info, err := os.Stat(filepath.Join(dir, "encryption.yaml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file is %v, %v; want mode 0600", info, err)
	}
	s = serve(t, dir)
	s.wantSecret(t, "one")
}

func TestEncryptionConfigTakesOverAndRotates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	s.putSecret(t, "one")
	s.stop()
	own := filepath.Join(dir, "encryption.yaml")
	config := filepath.Join(dir, "config.yaml")
	for _, step := range []struct {
		keys    []string
		without string // is removed before the next step
	}{{keys: []string{"a"}, without: own}, {keys: []string{"b", "a"}}, {keys: []string{"b"}}} {
		s = serveEncrypted(t, dir, aesConfig(t, config, step.keys...))
		s.wantSecret(t, "one")
		s.stop()
		if !stored(t, dir, "k8s:enc:aesgcm:v1:"+step.keys[0]+":") || stored(t, dir, "k8s:enc:aesgcm:v1:kube-lite:") {
			t.Errorf("with the keys %v the store has not all Secrets under the first", step.keys)
		}
		if step.without != "" {
			if err := os.Remove(step.without); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A start without the configuration says what is missing, and leaves no key that would be mistaken for the right one.
func TestMissingEncryptionKeyIsExplained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := aesConfig(t, filepath.Join(dir, "config.yaml"), "a")
	s := serveEncrypted(t, dir, config)
	s.putSecret(t, "one")
	s.stop()
	own := filepath.Join(dir, "encryption.yaml")
	for _, test := range []struct{ config, want string }{
		{"", "put the file " + own + " back"},
		{aesConfig(t, filepath.Join(dir, "other.yaml"), "b"), "add the provider or the key to --encryption-config " + filepath.Join(dir, "other.yaml")},
	} {
		e, err := OpenEncryption(own, test.config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Open(filepath.Join(dir, "kube-lite.db"), store.Options{Transformers: e})
		if !errors.Is(err, store.ErrKey) {
			t.Fatalf("the store opens with %v, want ErrKey", err)
		}
		if err := e.Explain(err); !errors.Is(err, store.ErrKey) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "kube-lite.db") {
			t.Errorf("the error is %q, want %q in it", err, test.want)
		}
		e.Close()
		if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want none", own, err)
		}
	}
	s = serveEncrypted(t, dir, config)
	s.wantSecret(t, "one")
}

func TestBrokenEncryptionConfigNamesFileAndField(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	for text, field := range map[string]string{
		"resources: [{resources: [secrets], providers: [{aesgcm: {keys: [{name: a, secret: c2hvcnQ=}]}}]}]": "resources[0].providers[0].aesgcm.keys[0].secret",
		"resources: [{resources: [secrets], providers: [{identitty: {}}]}]":                                 "identitty",
	} {
		if err := os.WriteFile(file, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenEncryption(filepath.Join(dir, "encryption.yaml"), file)
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), field) {
			t.Errorf("the error is %v, want %s and %s in it", err, file, field)
		}
	}
}

func TestEncryptionConfigIsReloaded(t *testing.T) {
	t.Parallel()
	every := reload.EncryptionConfigFileChangePollDuration
	reload.EncryptionConfigFileChangePollDuration = 10 * time.Millisecond
	t.Cleanup(func() { reload.EncryptionConfigFileChangePollDuration = every })
	dir := t.TempDir()
	config := aesConfig(t, filepath.Join(dir, "config.yaml"), "a")
	s := serveEncrypted(t, dir, config)
	s.putSecret(t, "one")
	aesConfig(t, config, "b", "a")
	n := 0
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		n++
		s.putSecret(t, fmt.Sprintf("more-%d", n))
		return stored(t, dir, "k8s:enc:aesgcm:v1:b:"), nil
	})
	if err != nil {
		t.Fatal("no Secret is written with the new key")
	}
	s.wantSecret(t, "one")
}

// xorKMS is a key management service for a test: what it gives out is not what it was given.
type xorKMS struct{}

func (xorKMS) Encrypt(_ context.Context, _ string, data []byte) (*kms.EncryptResponse, error) {
	return &kms.EncryptResponse{Ciphertext: xor(data), KeyID: "1"}, nil
}

func (xorKMS) Decrypt(_ context.Context, _ string, r *kms.DecryptRequest) ([]byte, error) {
	return xor(r.Ciphertext), nil
}

func (xorKMS) Status(context.Context) (*kms.StatusResponse, error) {
	return &kms.StatusResponse{Version: "v2", Healthz: "ok", KeyID: "1"}, nil
}

func xor(data []byte) []byte {
	out := bytes.Clone(data)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}

func TestSecretsAreEncryptedByAKeyManagementService(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "kms.sock")
	plugin := kms.NewGRPCService(socket, 10*time.Second, xorKMS{})
	done := make(chan error, 1)
	go func() { done <- plugin.ListenAndServe() }()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		_, err := os.Stat(socket)
		return err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plugin.Close(); <-done })
	config := filepath.Join(dir, "config.yaml")
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n" +
		"  - kms: {apiVersion: v2, name: xor, endpoint: 'unix://" + socket + "'}\n  - identity: {}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := serveEncrypted(t, dir, config)
		s.putSecret(t, fmt.Sprint("s", time.Now().UnixNano()))
		secrets, err := s.client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets.Items {
			s.wantSecret(t, secret.Name)
		}
		s.stop()
	}
	if stored(t, dir, secretText) || !stored(t, dir, "k8s:enc:kms:v2:xor:") {
		t.Error("the Secrets are not encrypted by the service")
	}
}
