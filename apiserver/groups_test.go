package apiserver

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lacked are upstream's stable resources that are not served, each with its reason.
var lacked = map[string]string{
	"apiregistration.k8s.io/v1": "aggregation is an API server of its own",
}

// TestEveryStableResourceOfUpstreamIsServed compares discovery with what upstream publishes beside its source.
func TestEveryStableResourceOfUpstreamIsServed(t *testing.T) {
	t.Parallel()
	_, lists, err := serve(t, t.TempDir()).admin(t).Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string][]metav1.APIResource{}
	for _, list := range lists {
		served[list.GroupVersion] = list.APIResources
	}
	for _, want := range upstreamsLists(t) {
		if strings.Contains(want.GroupVersion, "alpha") || strings.Contains(want.GroupVersion, "beta") || lacked[want.GroupVersion] != "" {
			continue
		}
		have := served[want.GroupVersion]
		for _, r := range want.APIResources {
			i := slices.IndexFunc(have, func(h metav1.APIResource) bool { return h.Name == r.Name })
			switch name := want.GroupVersion + " " + r.Name; {
			case lacked[name] != "":
			case i < 0:
				t.Errorf("%s is not served", name)
			case have[i].Kind != r.Kind || strings.Join(have[i].Verbs, ",") != strings.Join(r.Verbs, ",") ||
				!slices.Equal(have[i].ShortNames, r.ShortNames) || !slices.Equal(have[i].Categories, r.Categories):
				t.Errorf("%s is %+v, upstream's is %+v", name, have[i], r)
			}
		}
	}
}

// upstream is the folder of the source of k8s.io/kubernetes.
func upstream(t *testing.T) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(dir))
}

// upstreamsLists are the resources of each group and version as upstream's repository has them. They are made with every
// feature gate on, but stable versions have stable resources.
func upstreamsLists(t *testing.T) []metav1.APIResourceList {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(upstream(t), "api/discovery/api*__v*.json"))
	if err != nil || len(files) < 20 {
		t.Fatalf("upstream's discovery: %d files, %v", len(files), err)
	}
	var lists []metav1.APIResourceList
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list metav1.APIResourceList
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		lists = append(lists, list)
	}
	return lists
}

func TestComponentStatusesAreHealthy(t *testing.T) {
	t.Parallel()
	list, err := serve(t, t.TempDir()).admin(t).CoreV1().ComponentStatuses().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 {
		t.Errorf("%d components, want controller-manager, scheduler and etcd-0", len(list.Items))
	}
	for _, c := range list.Items {
		if len(c.Conditions) != 1 || c.Conditions[0].Status != "True" {
			t.Errorf("component %s: %+v", c.Name, c.Conditions)
		}
	}
}
