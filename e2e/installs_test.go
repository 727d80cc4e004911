package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// What people apply to a cluster installs, works, and is gone without a trace after delete.
func TestInstallFiles(t *testing.T) {
	t.Parallel()
	in := startInstance(t)
	everyObject(t, in) // whoever lists every kind has the definitions of Gateway API stored
	for _, i := range []install{certificates(), ingress(), monitoring(), delivery(), gateways()} {
		t.Run(i.name, func(t *testing.T) { i.test(t, in) })
	}
}

func (i install) test(t *testing.T, in *instance) {
	before := everyObject(t, in)
	path := filepath.Join(t.TempDir(), "install.yaml")
	if err := os.WriteFile(path, []byte(i.file()), 0o600); err != nil {
		t.Fatal(err)
	}
	ns := namespace{i.name, in}
	must := func(args ...string) {
		t.Helper()
		if got := in.run(t, "", args...); got.code != 0 {
			ns.show(t)
			t.Fatalf("%s: exit code %d: %s", strings.Join(args, " "), got.code, got.stderr)
		}
	}
	t.Cleanup(func() { in.run(t, "", "delete", "-f", path, "--ignore-not-found") })
	must("apply", "--server-side", "-f", path)
	for _, workload := range i.rollouts {
		must("rollout", "status", workload, "--namespace="+i.name, "--timeout=120s")
	}
	for _, d := range i.definitions {
		must("wait", "--for=condition=Established", "crd/"+d.name(), "--timeout=60s")
	}
	i.use(t, ns, path)
	must("apply", "--server-side", "-f", path)
	must("delete", "-f", path)
	eventually(t, func() error {
		after := everyObject(t, in)
		maps.DeleteFunc(after, func(object string, _ bool) bool { return before[object] })
		if len(after) > 0 {
			return fmt.Errorf("left behind: %v", slices.Sorted(maps.Keys(after)))
		}
		return nil
	})
	i.forgotten(t, in)
}

// use does what proves that the parts work.
func (i install) use(t *testing.T, ns namespace, path string) {
	t.Helper()
	if len(i.definitions) > 0 {
		first := i.definitions[0]
		ns.apply(t, first.object())
		if got := ns.value(t, first.name()+"/sample", "{.spec.section0.mode} {.spec.section0.items[0].mode}"); got != "Auto Auto" {
			t.Errorf("the schema's defaults are %q", got)
		}
		refused(t, ns, strings.Replace(first.object(), "name: first", "name: forbidden", 1), "section0 must not be forbidden")
	}
	switch i.name {
	case "certs":
		refused(t, ns, i.definitions[4].object(), `failed calling webhook "webhook.certs.example.com"`)
	case "ingress":
		ns.must(t, "wait", "--for=condition=Complete", "job/admission-create", "job/admission-patch", "--timeout=120s")
		refused(t, ns, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {ingressClassName: ingress, defaultBackend: {service: {name: controller, port: {number: 443}}}}\n",
			`failed calling webhook "webhook.ingress.example.com"`)
	case "monitoring":
		got := ns.in.run(t, "", "apply", "-f", path)
		if got.code == 0 || !strings.Contains(got.stderr, "metadata.annotations: Too long") {
			t.Errorf("apply by annotation of a definition of 700 kB: exit code %d, %s", got.code, got.stderr)
		}
	case "gateways":
		guarded := definition{"gateways.example.com", "Listener", []string{"v1"}, 0}.yaml()
		refused(t, ns, strings.Replace(guarded, "metadata:\n", "metadata:\n  annotations: {channel: experimental}\n", 1), "another channel is installed")
	}
}

// refused checks that the server does not take a manifest, and why.
func refused(t *testing.T, ns namespace, manifest, why string) {
	t.Helper()
	if got := ns.in.run(t, manifest, "apply", "-f", "-", "--namespace="+ns.name); got.code == 0 || !strings.Contains(got.stderr, why) {
		t.Errorf("exit code %d, %s; want a refusal since %s", got.code, got.stderr, why)
	}
}

// forgotten checks that neither discovery nor the schemas know the groups of an install any more.
func (i install) forgotten(t *testing.T, in *instance) {
	t.Helper()
	for _, path := range []string{"/apis", "/openapi/v3", "/openapi/v2"} {
		eventually(t, func() error {
			got := in.run(t, "", "get", "--raw", path)
			for _, d := range i.definitions {
				if got.code != 0 || strings.Contains(got.stdout, d.group) {
					return fmt.Errorf("get --raw %s: exit code %d, and it knows %s", path, got.code, d.group)
				}
			}
			return nil
		})
	}
}

// everyObject names all objects of all kinds that discovery knows, except events, which outlive what they tell of.
func everyObject(t *testing.T, in *instance) map[string]bool {
	t.Helper()
	config := in.config(t)
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	kinds, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	client := metadata.NewForConfigOrDie(config)
	objects := map[string]bool{}
	for _, group := range kinds {
		version, err := schema.ParseGroupVersion(group.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range group.APIResources {
			if !slices.Contains(kind.Verbs, "list") || kind.Name == "events" {
				continue
			}
			resource := version.WithResource(kind.Name)
			list, err := client.Resource(resource).List(context.Background(), metav1.ListOptions{})
			if err != nil {
				t.Logf("list %s: %v", resource, err) // a kind that goes away meanwhile
				continue
			}
			for _, object := range list.Items {
				objects[resource.GroupResource().String()+" "+object.Namespace+"/"+object.Name] = true
			}
		}
	}
	return objects
}
