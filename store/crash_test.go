package store

import (
	"bufio"
	"context"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

const (
	crashChildEnv = "KUBE_LITE_STORE_CRASH_CHILD" // the path of the store file that the child writes
	crashRounds   = 250
	crashWriters  = 4
	crashKeys     = 5 // per writer
	// crashLife is the longest that a child lives after its first write.
	crashLife = 40 * time.Millisecond
	// crashBudget ends the test early where starting a child is slow, as with the race detector on a busy machine.
	crashBudget = 40 * time.Second
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashChildEnv); path != "" {
		crashChild(path)
		return
	}
	if path := os.Getenv(rewriteChildEnv); path != "" {
		rewriteChild(path)
		return
	}
	os.Exit(m.Run())
}

// TestKilledWriterLosesNothing kills a writing process at random points, again and again on the same file. Each time it
// finds every write that the process was told of, be it by the answer or by a watch, and no half one.
func TestKilledWriterLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	rounds := crashRounds
	if testing.Short() {
		rounds = 20
	}
	told := crashNews{}
	start := time.Now()
	for round := range rounds {
		if time.Since(start) > crashBudget {
			t.Logf("stopped after %d rounds", round)
			break
		}
		told.killOne(t, path)
		told.check(t, path)
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
	if len(told) < crashWriters*crashKeys/2 {
		t.Errorf("the children wrote only %d keys: that proves nothing", len(told))
	}
}

// crashNews is what the children said of each key: which step was acknowledged last, and which is the last that may
// have happened.
type crashNews map[string]struct{ acked, begun int }

// killOne runs a child and kills it a random time after its first word. Children report as "begin KEY STEP" before a
// write, and "ack KEY STEP" or "seen KEY STEP" after it.
func (n crashNews) killOne(t *testing.T, path string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashChildEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		if first {
			time.AfterFunc(rand.N(crashLife), func() { _ = child.Process.Kill() })
		}
		var what, key string
		var step int
		if _, err := fmt.Sscan(lines.Text(), &what, &key, &step); err != nil {
			t.Fatalf("child says %q: %v", lines.Text(), err)
		}
		news := n[key]
		if what == "begin" {
			news.begun = max(news.begun, step)
		} else {
			news.acked = max(news.acked, step)
		}
		n[key] = news
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() >= 0 {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

// check opens the file and compares it with what the children said. Deletions are the steps that are multiples of three,
// so an object that is absent stands at the last of those.
func (n crashNews) check(t *testing.T, path string) {
	t.Helper()
	s, err := Open(path, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pods := s.view(podConfig(nil))
	list, err := listPods(t, pods, storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]int{}
	for _, p := range list.Items {
		step, ok := crashStep(&p)
		if !ok {
			t.Errorf("half a write: %s has the labels %v", p.Name, p.Labels)
		}
		steps[p.Name] = step
	}
	for key, news := range n {
		last := max(news.begun, news.acked)
		got, exists := steps[key]
		if !exists {
			got = last - last%3
		}
		if got < news.acked || got > last {
			t.Errorf("%s: found step %d (exists: %v); step %d was acknowledged, %d begun last", key, got, exists, news.acked, last)
		}
		news.acked = got // what a reader has seen must stay, too
		n[key] = news
	}
}

// crashPod is the object of a step; its labels tell whether it is whole.
func crashPod(name string, step int) *example.Pod {
	payload := strings.Repeat(fmt.Sprintf("%s-%d/", name, step), 1+step%200)
	return &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{
		"step": fmt.Sprint(step), "payload": payload, "sum": fmt.Sprint(crc32.ChecksumIEEE([]byte(payload))),
	}}}
}

func crashStep(p *example.Pod) (step int, ok bool) {
	_, err := fmt.Sscan(p.Labels["step"], &step)
	return step, err == nil && p.Labels["sum"] == fmt.Sprint(crc32.ChecksumIEEE([]byte(p.Labels["payload"])))
}

// crashChild writes until it is killed: each key is created, updated and deleted in turn.
func crashChild(path string) {
	s, err := Open(path, Options{})
	if err != nil {
		panic(err)
	}
	pods := s.view(podConfig(nil))
	var out sync.Mutex // one line at a time, straight to the pipe
	say := func(what, key string, step int) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf("%s %s %d\n", what, key, step)
	}
	w, err := pods.Watch(context.Background(), "/pods", storage.ListOptions{Recursive: true, Predicate: storage.Everything})
	if err != nil {
		panic(err)
	}
	go func() {
		for e := range w.ResultChan() {
			if pod, ok := e.Object.(*example.Pod); ok && e.Type != watch.Deleted {
				step, _ := crashStep(pod)
				say("seen", pod.Name, step)
			}
		}
	}()
	for i := range crashWriters {
		go func() {
			for {
				for k := range crashKeys {
					crashWrite(pods, fmt.Sprintf("w%d-k%d", i, k), say)
				}
			}
		}()
	}
	select {}
}

// crashWrite does the next step of a key: 1 creates, 2 updates, 3 deletes, 4 creates, and so on. Where a deleted key
// was is kept in another object.
func crashWrite(pods *view, name string, say func(what, key string, step int)) {
	ctx := context.Background()
	last, err := crashLast(ctx, pods, name)
	if err != nil {
		panic(err)
	}
	step := last + 1
	say("begin", name, step)
	switch step % 3 {
	case 1:
		err = pods.Create(ctx, podKey(name), crashPod(name, step), nil, 0)
	case 2:
		err = pods.GuaranteedUpdate(ctx, podKey(name), &example.Pod{}, false, nil,
			storage.SimpleUpdate(func(runtime.Object) (runtime.Object, error) { return crashPod(name, step), nil }), nil)
	case 0:
		tomb := crashPod("tomb-"+name, step)
		say("begin", tomb.Name, step)
		err = pods.GuaranteedUpdate(ctx, podKey(tomb.Name), &example.Pod{}, true, nil,
			storage.SimpleUpdate(func(runtime.Object) (runtime.Object, error) { return tomb, nil }), nil)
		if err == nil {
			err = pods.Delete(ctx, podKey(name), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
		}
	}
	if err != nil {
		panic(fmt.Sprintf("step %d of %s: %v", step, name, err))
	}
	say("ack", name, step)
}

// crashLast returns the last step of a key that happened.
func crashLast(ctx context.Context, pods *view, name string) (int, error) {
	pod := &example.Pod{}
	err := pods.Get(ctx, podKey(name), storage.GetOptions{}, pod)
	if storage.IsNotFound(err) {
		err = pods.Get(ctx, podKey("tomb-"+name), storage.GetOptions{IgnoreNotFound: true}, pod)
	}
	if err != nil || pod.Name == "" {
		return 0, err
	}
	step, ok := crashStep(pod)
	if !ok {
		return 0, fmt.Errorf("half a write: %v", pod.Labels)
	}
	return step, nil
}
