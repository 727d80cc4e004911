package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// brokenApps has a folder for each broken application:
//
//	app.yaml  what is applied
//	then.txt  commands of kube-lite that are run next, one a line; $NS is the namespace (may be missing)
//	want.txt  the object that why is asked about, and lines that it must print
const brokenApps = "testdata/why"

// Every broken application is explained by the sentence that it is to be explained by. They all live in one instance, side
// by side.
func TestWhyNamesTheFirstBrokenLink(t *testing.T) {
	t.Parallel()
	in := startInstance(t)
	folders, err := filepath.Glob(filepath.Join(in.repo, brokenApps, "*"))
	if err != nil || len(folders) < 50 {
		t.Fatalf("%d broken applications in %s, want 50 or more: %v", len(folders), brokenApps, err)
	}
	t.Run("apply", func(t *testing.T) {
		for _, folder := range folders {
			t.Run(filepath.Base(folder), func(t *testing.T) {
				t.Parallel()
				brokenApp{in, folder}.apply(t)
			})
		}
	})
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			brokenApp{in, folder}.explained(t)
		})
	}
}

// brokenApp is one of the folders.
type brokenApp struct {
	in     *instance
	folder string
}

func (b brokenApp) namespace() namespace { return namespace{"why-" + filepath.Base(b.folder), b.in} }

// lines reads a file of the folder; a missing one has none.
func (b brokenApp) lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.folder, file))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.FieldsFunc(strings.ReplaceAll(string(text), "$NS", b.namespace().name), func(r rune) bool { return r == '\n' })
}

func (b brokenApp) apply(t *testing.T) {
	ns := b.namespace()
	app, err := os.ReadFile(filepath.Join(b.folder, "app.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	manifest := string(app)
	if own := "metadata: {name: " + ns.name + ","; !strings.Contains(manifest, own) {
		manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + ns.name + "}\n---\n" + manifest
	}
	ns.apply(t, manifest)
	for _, line := range b.lines(t, "then.txt") {
		ns.must(t, strings.Fields(line)...)
	}
}

func (b brokenApp) explained(t *testing.T) {
	ns, want := b.namespace(), b.lines(t, "want.txt")
	eventually(t, func() error {
		got := ns.run(t, "why", want[0])
		for _, sentence := range want[1:] {
			if !strings.Contains(named(got.stdout, ns.in), sentence) {
				return fmt.Errorf("why %s does not say %q:\n%s%s", want[0], sentence, got.stdout, got.stderr)
			}
		}
		if got.code != 3 {
			return fmt.Errorf("exit code %d, want 3", got.code)
		}
		return nil
	})
}

// named is a text without the flag that leads to the instance.
func named(text string, in *instance) string {
	return strings.ReplaceAll(text, "kube-lite --name "+in.name+" ", "kube-lite ")
}

const wellApp = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
      containers:
      - name: web
        image: kube-lite-test/tool:latest
        imagePullPolicy: IfNotPresent
        args: [http-serve, ":8080"]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {port: http}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{host: why.localhost, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: once, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [print, done]}]
`

// What is well is said to be well, with exit code 0.
func TestWhyOfWhatIsWell(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "why-well")
	ns.apply(t, wellApp)
	for object, sentence := range map[string]string{
		"deploy/web":           "✓ Deployment web: 2 of 2 pods ready",
		"service/web":          "✓ Service web: is reached at ",
		"ingress/web":          "✓ Ingress web: is served, and its Services answer",
		"pvc/data":             "✓ PersistentVolumeClaim data: has the volume ",
		"job/once":             "✓ Job once: is complete",
		"namespace/" + ns.name: "is there, and nobody has deleted it",
	} {
		eventually(t, func() error {
			if got := ns.run(t, "why", object); got.code != 0 || !strings.Contains(got.stdout, sentence) {
				return fmt.Errorf("why %s: exit code %d, want 0 and %q:\n%s%s", object, got.code, sentence, got.stdout, got.stderr)
			}
			return nil
		})
	}
	var chain struct {
		State string
		Links []struct{ Object struct{ Kind string } }
	}
	if err := json.Unmarshal([]byte(ns.must(t, "why", "service", "web", "-o", "json")), &chain); err != nil {
		t.Fatal(err)
	}
	if chain.State != "ok" || len(chain.Links) == 0 || chain.Links[0].Object.Kind != "Service" {
		t.Errorf("the chain is %+v", chain)
	}
}

// What cannot be looked at gets one clear line, and exit code 1.
func TestWhyOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "why-not-there")
	ns.apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n")
	for words, want := range map[string]string{
		"cm/setings":         `error: ConfigMap "setings" does not exist in namespace "why-not-there"; there is "settings"`,
		"pod/web":            `error: Pod "web" does not exist in namespace "why-not-there"`,
		"gadget/web":         `the server doesn't have a resource type "gadget"`,
		"":                   `error: why: name one object, as in "kube-lite why deployment/web"`,
		"pods":               `error: why: name one object, as in "kube-lite why deployment/web"`,
		"cm/settings -o xml": `error: why: --output "xml": use json`,
	} {
		got := ns.run(t, append([]string{"why"}, strings.Fields(words)...)...)
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("why %s: exit code %d, want 1 and %q alone: %s%s", words, got.code, want, got.stdout, got.stderr)
		}
	}
}
