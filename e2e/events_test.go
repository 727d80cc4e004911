package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// Three Pods that fail each in its way, again and again.
const failingPods = `
apiVersion: v1
kind: Pod
metadata: {name: crashes}
spec:
  containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [exit, "3"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: unwell}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: kube-lite-test/tool:latest
    imagePullPolicy: IfNotPresent
    args: [http-serve, ":8080"]
    # An event is written no more than 25 times at once: at this pace that is long enough for the slowest machine.
    readinessProbe: {httpGet: {port: 9999}, periodSeconds: 2}
---
apiVersion: v1
kind: Pod
metadata: {name: misses}
spec:
  volumes: [{name: settings, configMap: {name: nowhere}}]
  containers:
  - name: main
    image: kube-lite-test/tool:latest
    imagePullPolicy: IfNotPresent
    volumeMounts: [{name: settings, mountPath: /settings}]
---
`

// What repeats is one event, in a kubelet's words, that says how often, since when and until when.
func TestWhatRepeatsIsOneEventThatCounts(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "repeats")
	client := cluster.client(t)
	writes := ns.countWrites(t)
	began := time.Now().Truncate(time.Second)
	ns.apply(t, failingPods)
	for _, c := range []struct{ pod, reason, field, message string }{
		{"unwell", "Unhealthy", "spec.containers{main}", `^Readiness probe failed: Get "http://[0-9.]+:9999/": dial tcp [0-9.]+:9999: connect: connection refused$`},
		{"misses", "FailedMount", "", `^MountVolume\.SetUp failed for volume "settings" : configmap "nowhere" not found$`},
		{"crashes", "BackOff", "spec.containers{main}", `^Back-off restarting failed container main in pod crashes_repeats\([0-9a-f-]{36}\)$`},
	} {
		t.Run(c.reason, func(t *testing.T) {
			find := func() (found []corev1.Event) {
				list, err := client.CoreV1().Events(ns.name).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + c.pod + ",reason=" + c.reason})
				if err != nil {
					t.Fatal(err)
				}
				return list.Items
			}
			counted := func(least int32) (e corev1.Event) {
				eventually(t, func() error {
					found := find()
					if len(found) != 1 {
						return fmt.Errorf("there are %d events, want one: %+v", len(found), found)
					}
					if e = found[0]; e.Count < least || least > 1 && !e.LastTimestamp.After(e.FirstTimestamp.Time) {
						return fmt.Errorf("it counts %d from %v to %v, want %d", e.Count, e.FirstTimestamp, e.LastTimestamp, least)
					}
					return nil
				})
				return e
			}
			early := counted(1)
			late := counted(early.Count + 1)
			if !regexp.MustCompile(c.message).MatchString(late.Message) || late.Type != corev1.EventTypeWarning {
				t.Errorf("%s %q, want a warning %s", late.Type, late.Message, c.message)
			}
			if late.Source.Component != "kubelet" || late.InvolvedObject.FieldPath != c.field {
				t.Errorf("it is from %s about %q", late.Source.Component, late.InvolvedObject.FieldPath)
			}
			first, last := late.FirstTimestamp.Time, late.LastTimestamp.Time
			if early.UID != late.UID || !first.Equal(early.FirstTimestamp.Time) || first.Before(began) || last.After(time.Now()) {
				t.Errorf("it was first told at %v, then last at %v; the later one from %v to %v", early.FirstTimestamp, early.LastTimestamp, first, last)
			}
		})
	}
	t.Run("a crash loop costs few writes", func(t *testing.T) {
		ns.waitForValue(t, "pod/crashes", "{.status.containerStatuses[0].restartCount}", "[2-9]")
		status, events := writes.of("Pod crashes"), writes.of("Event crashes")
		restarts, err := strconv.Atoi(ns.value(t, "pod/crashes", "{.status.containerStatuses[0].restartCount}"))
		if err != nil {
			t.Fatal(err)
		}
		runs := restarts + 2 // the next one's events may be there before the status says so
		t.Logf("%d restarts cost %d writes of the Pod and %d of its events", restarts, status, events)
		// It runs, it has ended: two writes each time; at first it is bound and created too.
		// Each time it is Pulled, Created, Started and BackOff; at first Scheduled.
		if status > 3*runs+3 || events > 4*runs+1 {
			t.Errorf("%d restarts cost %d writes of the Pod and %d of its events: %v", restarts, status, events, writes.all)
		}
	})
}

// writes counts what the API server wrote, by the object it was about.
type writes struct {
	mu  sync.Mutex // guards all
	all []string
}

func (w *writes) of(about string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.all {
		if a == about {
			n++
		}
	}
	return n
}

// countWrites watches the namespace's Pods and events, in which each write is one message, until the test ends.
func (n namespace) countWrites(t *testing.T) *writes {
	t.Helper()
	w, client := &writes{}, n.in.client(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	follow := func(watcher watch.Interface, err error) {
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer watcher.Stop()
			for e := range watcher.ResultChan() {
				w.mu.Lock()
				switch object := e.Object.(type) {
				case *corev1.Pod:
					w.all = append(w.all, "Pod "+object.Name)
				case *corev1.Event:
					w.all = append(w.all, "Event "+object.InvolvedObject.Name)
				}
				w.mu.Unlock()
			}
		})
	}
	follow(client.CoreV1().Pods(n.name).Watch(ctx, metav1.ListOptions{}))
	follow(client.CoreV1().Events(n.name).Watch(ctx, metav1.ListOptions{}))
	return w
}
