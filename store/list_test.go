package store

import (
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

func page1(limit int64, token string) storage.ListOptions {
	return storage.ListOptions{Predicate: storage.SelectionPredicate{Limit: limit, Continue: token}}
}

// TestPagesAreOfOneMoment changes, deletes and creates objects between the pages of a list.
func TestPagesAreOfOneMoment(t *testing.T) {
	_, pods := testStore(t, Options{})
	want := map[string]string{}
	for i := range 10 {
		p := mustCreate(t, pods, fmt.Sprint("pod-", i))
		want[p.Name] = p.ResourceVersion
	}
	got, token, rev := map[string]string{}, "", ""
	for n := 0; ; n++ {
		list, err := listPods(t, pods, page1(3, token))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list.Items {
			got[p.Name] = p.ResourceVersion
		}
		if rev != "" && list.ResourceVersion != rev {
			t.Errorf("page %d is of revision %s, the first is of %s", n, list.ResourceVersion, rev)
		}
		rev, token = list.ResourceVersion, list.Continue
		if left := int64(10 - len(got)); token != "" && (list.RemainingItemCount == nil || *list.RemainingItemCount != left) {
			t.Errorf("page %d: remaining is %v, want %d", n, list.RemainingItemCount, left)
		}
		if token == "" {
			break
		}
		mustLabel(t, pods, "pod-5", fmt.Sprint(n))
		mustCreate(t, pods, fmt.Sprint("pod-6-new-", n))
		if n == 0 {
			if err := pods.Delete(t.Context(), podKey("pod-9"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestExpiredPageOffersAnInconsistentRest(t *testing.T) {
	_, pods := testStore(t, Options{HistorySize: 2})
	for i := range 4 {
		mustCreate(t, pods, fmt.Sprint("pod-", i))
	}
	first, err := listPods(t, pods, page1(2, ""))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		mustLabel(t, pods, "pod-3", fmt.Sprint(i))
	}
	_, err = listPods(t, pods, page1(2, first.Continue))
	if !apierrors.IsResourceExpired(err) {
		t.Fatalf("got %v, want 410 Expired", err)
	}
	rest, err := listPods(t, pods, page1(2, err.(apierrors.APIStatus).Status().Continue))
	if err != nil || len(rest.Items) != 2 || rest.Items[0].Name != "pod-2" || rest.Items[1].Labels["value"] != "4" {
		t.Errorf("got %v, %v", rest.Items, err)
	}
}

// TestPagesOfAQuietResourceExpireToo is what clients are used to from etcd, which forgets by time and not by writes. A
// watch goes on: nothing of it is lost.
func TestPagesOfAQuietResourceExpireToo(t *testing.T) {
	s, pods := testStore(t, Options{})
	for i := range 4 {
		mustCreate(t, pods, fmt.Sprint("pod-", i))
	}
	first, err := listPods(t, pods, page1(2, ""))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s.trim(start)
	c := podConfig(nil)
	c.ResourcePrefix = "/others"
	if err := s.Storage(c).Create(t.Context(), "/others/a", newPod("a"), nil, 0); err != nil {
		t.Fatal(err)
	}
	for minute := time.Minute; minute < DefaultHistoryAge; minute += time.Minute {
		s.trim(start.Add(minute))
	}
	if _, err := listPods(t, pods, page1(2, first.Continue)); err != nil {
		t.Fatalf("a page that is younger than %v: %v", DefaultHistoryAge, err)
	}
	s.trim(start.Add(DefaultHistoryAge))
	s.trim(start.Add(DefaultHistoryAge + time.Minute))
	_, err = listPods(t, pods, page1(2, first.Continue))
	if !apierrors.IsResourceExpired(err) {
		t.Fatalf("a page that is older than %v: %v, want 410 Expired", DefaultHistoryAge, err)
	}
	rest, err := listPods(t, pods, page1(2, err.(apierrors.APIStatus).Status().Continue))
	if err != nil || len(rest.Items) != 2 || rest.Items[0].Name != "pod-2" || rest.ResourceVersion == first.ResourceVersion {
		t.Errorf("the rest: %v of revision %s, %v", rest.Items, rest.ResourceVersion, err)
	}
	w := watchPods(t, pods, storage.ListOptions{ResourceVersion: first.ResourceVersion})
	mustLabel(t, pods, "pod-0", "new")
	wantEvent(t, w, watch.Modified, "pod-0")
}

func TestAListOfTheCurrentRevisionDoesNotExpire(t *testing.T) {
	s, pods := testStore(t, Options{})
	mustCreate(t, pods, "a")
	mustCreate(t, pods, "b")
	first, err := listPods(t, pods, page1(1, ""))
	if err != nil {
		t.Fatal(err)
	}
	for minute := range 12 {
		s.trim(time.Now().Add(time.Duration(minute) * time.Minute))
	}
	if _, err := listPods(t, pods, page1(1, first.Continue)); err != nil {
		t.Errorf("nothing was written since: %v", err)
	}
}

func TestPrefixOfAnotherNameIsNotListed(t *testing.T) {
	s, pods := testStore(t, Options{})
	mustCreate(t, pods, "a")
	c := podConfig(nil)
	c.ResourcePrefix = "/podsx"
	if err := s.Storage(c).Create(t.Context(), "/podsx/b", newPod("b"), nil, 0); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, pods); len(got) != 1 {
		t.Errorf("got %v, want only a", got)
	}
}

func TestFieldsOfListedItemsMayBeSet(t *testing.T) {
	_, pods := testStore(t, Options{})
	mustCreate(t, pods, "a")
	mustLabel(t, pods, "a", "kept")
	list, err := listPods(t, pods, storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list.Items[0].Name, list.Items[0].Labels = "changed", nil
	again, err := listPods(t, pods, storage.ListOptions{})
	if err != nil || again.Items[0].Name != "a" || again.Items[0].Labels["value"] != "kept" {
		t.Errorf("after somebody set fields of a listed item: %v, %v", again.Items, err)
	}
}
