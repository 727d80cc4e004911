package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// claim is a PersistentVolumeClaim.
func claim(name, spec string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %s}
spec: {accessModes: [ReadWriteOnce], %s}
---
`, name, spec)
}

// ofMiB is the spec of a claim of that size in the default class.
func ofMiB(size int) string { return fmt.Sprintf("resources: {requests: {storage: %dMi}}", size) }

// claimant is a Pod that mounts claims, each at its own name.
func claimant(name string, claims ...string) string {
	var volumes, mounts []string
	for _, claim := range claims {
		volumes = append(volumes, fmt.Sprintf("{name: %s, persistentVolumeClaim: {claimName: %[1]s}}", claim))
		mounts = append(mounts, fmt.Sprintf("{name: %s, mountPath: /%[1]s}", claim))
	}
	return podOf(name, fmt.Sprintf("terminationGracePeriodSeconds: 1, securityContext: {runAsUser: 1000}, volumes: [%s]", strings.Join(volumes, ", ")),
		fmt.Sprintf("args: [sleep], volumeMounts: [%s]", strings.Join(mounts, ", ")))
}

// directories returns where the instance keeps the data of a claim.
func (n namespace) directories(t *testing.T, claim string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(n.in.dataDir(), "pv", n.name+"_"+claim+"_*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestClaimsOfAPod(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "claims")
	ns.apply(t, claim("first", ofMiB(10))+claim("second", ofMiB(20)))
	ns.waitForEvent(t, "first", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
	ns.apply(t, claimant("user", "first", "second"))
	ns.waitForValue(t, "pod/user", "{.status.phase}", "Running")
	ns.must(t, "exec", "user", "--", "/tool", "write", "/first/note", "one")
	ns.must(t, "exec", "user", "--", "/tool", "write", "/second/note", "two")
	if got := ns.value(t, "pvc", "{.items[*].status.phase} {.items[*].status.capacity.storage} {.items[*].spec.storageClassName}"); got != "Bound Bound 10Mi 20Mi standard standard" {
		t.Errorf("phases, sizes and classes are %q", got)
	}

	t.Run("a person finds the data", func(t *testing.T) {
		found := ns.directories(t, "first")
		if len(found) != 1 {
			t.Fatalf("claim first is in %q, want one directory", found)
		}
		if got, err := os.ReadFile(filepath.Join(found[0], "note")); err != nil || string(got) != "one" {
			t.Errorf("its note is %q, %v", got, err)
		}
	})
	t.Run("it is there for the next Pod", func(t *testing.T) {
		ns.must(t, "delete", "pod", "user")
		ns.apply(t, claimant("next", "second"))
		ns.waitForValue(t, "pod/next", "{.status.phase}", "Running")
		if got := ns.must(t, "exec", "next", "--", "/tool", "cat", "/second/note"); got != "two" {
			t.Errorf("the second claim has %q", got)
		}
	})
	t.Run("expansion", func(t *testing.T) {
		ns.must(t, "patch", "pvc", "second", "--patch", `{"spec": {"resources": {"requests": {"storage": "50Mi"}}}}`)
		ns.waitForValue(t, "pvc/second", "{.status.capacity.storage}", "50Mi")
		ns.waitForValue(t, "pv/"+ns.value(t, "pvc/second", "{.spec.volumeName}"), "{.spec.capacity.storage}", "50Mi")
		if got := ns.run(t, "patch", "pvc", "second", "--patch", `{"spec": {"resources": {"requests": {"storage": "5Mi"}}}}`); got.code == 0 {
			t.Error("a claim can be made smaller")
		}
	})
	t.Run("a claim in use is kept", func(t *testing.T) {
		ns.must(t, "delete", "pvc", "second", "--wait=false")
		if got := ns.must(t, "exec", "next", "--", "/tool", "cat", "/second/note"); got != "two" {
			t.Errorf("the claim that is to go has %q", got)
		}
		if got := ns.must(t, "describe", "pvc", "second"); !strings.Contains(got, "Terminating (lasts ") {
			t.Errorf("it is not to go:\n%s", got)
		}
		ns.must(t, "delete", "pod", "next")
		ns.waitUntilDeleted(t, "second")
	})
	t.Run("a claim that nobody uses goes with its data", func(t *testing.T) {
		ns.must(t, "delete", "pvc", "first")
		ns.waitUntilDeleted(t, "first")
	})
}

// waitUntilDeleted waits until a claim, its volume and its data are gone.
func (n namespace) waitUntilDeleted(t *testing.T, claim string) {
	t.Helper()
	eventually(t, func() error {
		volumes := linesWith(n.must(t, "get", "pv", "--no-headers"), n.name+"/"+claim+" ")
		claims := n.must(t, "get", "pvc", claim, "--ignore-not-found", "-o", "name")
		if found := n.directories(t, claim); volumes+claims != "" || len(found) > 0 {
			return fmt.Errorf("there are still %q, %q and data in %q", claims, volumes, found)
		}
		return nil
	})
}

func TestAClaimBindsWithoutAPod(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "immediate")
	ns.apply(t, claim("early", "storageClassName: standard-immediate, "+ofMiB(10))+claim("waits", ofMiB(10)))
	ns.waitForValue(t, "pvc/early", "{.status.phase}", "Bound")
	if got := ns.value(t, "pvc/waits", "{.status.phase}"); got != "Pending" {
		t.Errorf("a claim of the class standard is %s before a Pod uses it", got)
	}
}

func TestEphemeralVolumeGoesWithItsPod(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "ephemeral")
	ns.apply(t, podOf("scratch", `terminationGracePeriodSeconds: 1, volumes: [{name: disk, ephemeral: {volumeClaimTemplate: {spec:
		{accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}}}}]`, "args: [sleep], volumeMounts: [{name: disk, mountPath: /disk}]"))
	ns.waitForValue(t, "pod/scratch", "{.status.phase}", "Running")
	ns.must(t, "exec", "scratch", "--", "/tool", "write", "/disk/note", "kept")
	if got := ns.value(t, "pvc/scratch-disk", "{.status.phase} {.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}"); got != "Bound Pod/scratch" {
		t.Errorf("its claim is %q", got)
	}
	if found := ns.directories(t, "scratch-disk"); len(found) != 1 {
		t.Errorf("its data is in %q", found)
	}
	ns.must(t, "delete", "pod", "scratch")
	ns.waitUntilDeleted(t, "scratch-disk")
}

// shelf is a PersistentVolume that somebody made by hand of a directory.
func shelf(name, path, kind string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: %s, labels: {kind: %s}}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: %s}
---
`, name, kind, path)
}

func TestVolumesMadeByHand(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "byhand")
	books, tools := t.TempDir(), t.TempDir()
	for _, directory := range []string{books, tools} {
		if err := os.Chmod(directory, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { ns.must(t, "delete", "pv", "shelf-books", "shelf-tools", "--ignore-not-found") })
	ns.apply(t, shelf("shelf-books", books, "books")+shelf("shelf-tools", tools, "tools"))
	ns.apply(t, claim("selects", `storageClassName: "", selector: {matchLabels: {kind: tools}}, `+ofMiB(10))+
		claim("names", `storageClassName: "", volumeName: shelf-books, `+ofMiB(10)))
	ns.waitForValue(t, "pvc/selects", "{.status.phase} {.spec.volumeName}", "Bound shelf-tools")
	ns.waitForValue(t, "pvc/names", "{.status.phase} {.spec.volumeName} {.status.capacity.storage}", "Bound shelf-books 1Gi")
	ns.apply(t, claimant("reader", "selects", "names"))
	ns.waitForValue(t, "pod/reader", "{.status.phase}", "Running")
	ns.must(t, "exec", "reader", "--", "/tool", "write", "/selects/note", "a hammer")

	ns.must(t, "delete", "pod", "reader")
	ns.must(t, "delete", "pvc", "selects", "names")
	ns.waitForValue(t, "pv/shelf-tools", "{.status.phase} {.spec.persistentVolumeReclaimPolicy}", "Released Retain")
	if got, err := os.ReadFile(filepath.Join(tools, "note")); err != nil || string(got) != "a hammer" {
		t.Errorf("after its claim is gone, the volume has %q, %v", got, err)
	}
	if got := cluster.run(t, "", "prune"); got.code != 0 || !strings.Contains(got.stdout, "kept: PersistentVolume shelf-tools, released by the claim "+ns.name+"/selects;") {
		t.Errorf("prune: exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
	ns.apply(t, claim("late", `storageClassName: "", selector: {matchLabels: {kind: tools}}, `+ofMiB(10)))
	ns.waitForEvent(t, "late", "FailedBinding", "no persistent volumes available for this claim and no storage class is set")
}

// Only one Pod at a time may use such a claim, though there is only one node.
func TestClaimForOnePodOnly(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "onepod")
	ns.apply(t, strings.Replace(claim("mine", ofMiB(10)), "ReadWriteOnce", "ReadWriteOncePod", 1)+claimant("holder", "mine"))
	ns.waitForValue(t, "pod/holder", "{.status.phase}", "Running")
	ns.apply(t, claimant("next", "mine"))
	ns.waitForEvent(t, "next", "FailedScheduling", "PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod")
	ns.must(t, "delete", "pod", "holder")
	ns.waitForValue(t, "pod/next", "{.status.phase}", "Running")
}

// A machine that restarts loses every process and container and its whole network; the disk is what it has.
func TestClaimsOutliveDockerAndTheMachine(t *testing.T) {
	t.Parallel()
	engine := startEngine(t)
	engine.load(t, "kube-lite-test/tool:latest")
	i := startInstanceOn(t, engine.host())
	ns := namespace{"default", i}
	ns.apply(t, claim("kept", ofMiB(10))+claimant("user", "kept"))
	ns.waitForValue(t, "pod/user", "{.status.phase}", "Running")
	ns.must(t, "exec", "user", "--", "/tool", "write", "/kept/note", "one")
	uid := ns.value(t, "pod/user", "{.metadata.uid}")
	check := func(t *testing.T, restarts string) {
		t.Helper()
		ns.waitForValue(t, "pod/user", "{.metadata.uid} {.status.phase} {.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}",
			uid+" Running "+restarts+" true")
		if got := ns.must(t, "exec", "user", "--", "/tool", "cat", "/kept/note"); got != "one" {
			t.Errorf("the claim has %q", got)
		}
	}
	t.Run("Docker restarts", func(t *testing.T) {
		engine.stop(t)
		engine.start(t)
		check(t, "1")
	})
	t.Run("the machine restarts", func(t *testing.T) {
		addresses, err := i.devices()
		if err != nil || strings.Count(addresses, "inet ") != 1 {
			t.Fatalf("the addresses of the instance's bridge are %q, %v", addresses, err)
		}
		i.kill(t)
		engine.stop(t)
		if _, err := output("ip", "link", "delete", strings.Fields(addresses)[1]); err != nil {
			t.Fatal(err)
		}
		engine.start(t)
		if err := i.up(); err != nil {
			t.Fatal(err)
		}
		check(t, "2")
	})
}
