package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long a test waits on a busy machine.
const patience = 2 * time.Minute

// dockerTest is a real engine with objects of the test's own, removed at its end.
type dockerTest struct {
	*Engine
	t      *testing.T
	unique string
	labels map[string]string
	image  string
}

func newDockerTest(t *testing.T) *dockerTest {
	t.Helper()
	engine, err := Connect(t.Context(), "", nil)
	if err != nil {
		t.Skipf("needs Docker: %v", err)
	}
	unique := fmt.Sprintf("d%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	d := &dockerTest{Engine: engine, t: t, unique: unique, labels: InstanceLabel(unique)}
	t.Cleanup(d.cleanup)
	d.image = "kube-lite-test/" + unique + ":talker"
	d.importTalker()
	return d
}

func (d *dockerTest) cleanup() {
	ctx := context.Background()
	left, err := d.List(ctx, d.labels)
	if err != nil {
		d.t.Error(err)
	}
	for _, c := range left {
		if err := d.Remove(ctx, c.ID); err != nil {
			d.t.Error(err)
		}
	}
	for _, err := range []error{d.RemoveNetwork(ctx, d.unique), d.RemoveImage(ctx, d.image, true), d.Close()} {
		if err != nil {
			d.t.Error(err)
		}
	}
}

// importTalker makes an image of ../testdata/talker.
func (d *dockerTest) importTalker() {
	d.t.Helper()
	binary := filepath.Join(d.t.TempDir(), "talker")
	build := exec.Command("go", "build", "-o", binary, "../testdata/talker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		d.t.Fatalf("build talker: %v\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		d.t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "talker", Mode: 0o755, Size: int64(len(program))}); err != nil {
		d.t.Fatal(err)
	}
	_, _ = w.Write(program)
	if err := w.Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := d.Import(d.t.Context(), &archive, d.image, `ENTRYPOINT ["/talker"]`, "USER 1000:2000"); err != nil {
		d.t.Fatal(err)
	}
}

// spec is a container of the test that sleeps.
func (d *dockerTest) spec(name string) ContainerSpec {
	return ContainerSpec{Name: d.unique + "-" + name, Image: d.image, Cmd: []string{"sleep"}, Labels: d.labels, Network: "none"}
}

// run creates and starts a container.
func (d *dockerTest) run(spec ContainerSpec) string {
	d.t.Helper()
	id, err := d.Create(d.t.Context(), spec)
	if err == nil {
		err = d.Start(d.t.Context(), id)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

func (d *dockerTest) inspect(id string) Container {
	d.t.Helper()
	c, err := d.Inspect(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// network is the spec of the test's own network: the nth of its ranges, none of which
// another run of the tests is likely to use.
func (d *dockerTest) network(n int) NetworkSpec {
	prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 232, byte(os.Getpid()), byte(16 * n)}), 28)
	return NetworkSpec{
		Name: d.unique, Bridge: "kt" + d.unique[len(d.unique)-6:], Subnet: prefix, Gateway: prefix.Addr().Next(), Labels: d.labels,
	}
}

// within waits for something to become true.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
