package clients

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const operatorImage = "kube-lite-test/operator:latest"

// An operator in Pods copies, refuses and converts its objects, also after the daemon was killed, which neither restarts it
// nor costs it the lead; when the leader goes, the other replica leads.
func TestOperator(t *testing.T) {
	importOperator(t) // first, since it is removed after the instance that uses it
	i := startInstance(t)
	i.run(t, operatorManifest(t), "apply", "--server-side", "-f", "-")
	i.run(t, "", "rollout", "status", "deployment/operator", "--timeout=100s")

	i.memo(t, "first", "hello")
	i.waitForCopy(t, "first", "hello")
	if got := i.run(t, "", "get", "memos.v1alpha1.operator.example.com", "first", "-o", "jsonpath={.message}"); got != "hello" {
		t.Errorf("in the other version the text is %q", got)
	}
	const forbidden = "apiVersion: operator.example.com/v1alpha1\nkind: Memo\nmetadata: {name: bad}\nmessage: forbidden\n"
	if _, err := i.try(forbidden, "create", "-f", "-"); err == nil || !strings.Contains(err.Error(), "this text is forbidden") {
		t.Errorf("a forbidden text: %v", err)
	}

	before, leader := i.operators(t), i.leader(t)
	i.kill(t)
	i.start(t)
	i.memo(t, "second", "still here")
	i.waitForCopy(t, "second", "still here")
	if after := i.operators(t); !slices.Equal(before, after) {
		t.Errorf("the Pods were %v and are %v", before, after)
	}
	if after := i.leader(t); after != leader {
		t.Errorf("%s led, and now %s does", leader, after)
	}

	pod, _, _ := strings.Cut(leader, "_")
	i.run(t, "", "delete", "pod", pod)
	eventually(t, func() error {
		if after := i.leader(t); after == leader || after == "" {
			return fmt.Errorf("the leader is %q still", after)
		}
		return nil
	})
	i.memo(t, "third", "of the other")
	i.waitForCopy(t, "third", "of the other")

	i.run(t, "", "delete", "memo", "first")
	eventually(t, func() error {
		if got := i.run(t, "", "get", "configmap", "first", "--ignore-not-found", "-o", "name"); got != "" {
			return fmt.Errorf("there is still %s", got)
		}
		return nil
	})
}

// memo makes one in the version that is not stored.
func (i *instance) memo(t *testing.T, name, text string) {
	t.Helper()
	i.run(t, fmt.Sprintf("apiVersion: operator.example.com/v1alpha1\nkind: Memo\nmetadata: {name: %s}\nmessage: %s\n", name, text), "create", "-f", "-")
}

// waitForCopy waits until the operator copied a text and said so.
func (i *instance) waitForCopy(t *testing.T, name, text string) {
	t.Helper()
	eventually(t, func() error {
		got, err := i.try("", "get", "memos.v1.operator.example.com,configmaps", "--field-selector=metadata.name="+name, "-o",
			"jsonpath={.items[*].spec.text}, {.items[*].status.copied}, {.items[*].data.text}")
		if want := strings.Join([]string{text, text, text}, ", "); err != nil || got != want {
			return fmt.Errorf("%s has %q, want %q: %v", name, got, want, err)
		}
		return nil
	})
}

// operators returns the name, UID and restarts of each of the operator's Pods.
func (i *instance) operators(t *testing.T) []string {
	t.Helper()
	lines := strings.Fields(i.run(t, "", "get", "pods", "--selector=app=operator", "-o",
		`jsonpath={range .items[*]}{.metadata.name}/{.metadata.uid}/{.status.containerStatuses[0].restartCount}{"\n"}{end}`))
	slices.Sort(lines)
	return lines
}

// leader is who holds the operator's lease: a Pod's name and more.
func (i *instance) leader(t *testing.T) string {
	t.Helper()
	return i.run(t, "", "get", "lease", "memos.operator.example.com", "-o", "jsonpath={.spec.holderIdentity}")
}

// importOperator builds the operator and gives it to Docker as an image, which goes with the test.
func importOperator(t *testing.T) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "operator")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./operator")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Name: "operator", Mode: 0o755, Size: int64(len(program))}
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	load := exec.Command("docker", "import", "--change", `ENTRYPOINT ["/operator"]`, "-", operatorImage)
	load.Stdin = &archive
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", operatorImage).CombinedOutput(); err != nil {
			t.Errorf("docker rmi: %v: %s", err, out)
		}
	})
}

// operatorManifest is testdata/operator.yaml with a certificate that names the webhooks' Service and signs itself.
func operatorManifest(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"operator.default.svc"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("testdata/operator.yaml")
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return strings.NewReplacer("CABUNDLE", encoded("CERTIFICATE", certificate), "PRIVATEKEY", encoded("PRIVATE KEY", private),
		"CERTIFICATE", encoded("CERTIFICATE", certificate)).Replace(string(manifest))
}
