package apiserver

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

// flowConfigUIDs are the names of the stored FlowSchemas and PriorityLevelConfigurations by their UIDs.
func flowConfigUIDs(t *testing.T, client kubernetes.Interface) (schemas, levels map[string]string) {
	t.Helper()
	schemas, levels = map[string]string{}, map[string]string{}
	f, err := client.FlowcontrolV1().FlowSchemas().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range f.Items {
		schemas[string(o.UID)] = o.Name
	}
	p, err := client.FlowcontrolV1().PriorityLevelConfigurations().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range p.Items {
		levels[string(o.UID)] = o.Name
	}
	return schemas, levels
}

func TestDefaultFlowSchemasAreThereAtEachStart(t *testing.T) {
	t.Parallel()
	var wantSchemas, wantLevels []string
	for _, o := range slices.Concat(bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas) {
		wantSchemas = append(wantSchemas, o.Name)
	}
	for _, o := range slices.Concat(bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations) {
		wantLevels = append(wantLevels, o.Name)
	}
	slices.Sort(wantSchemas)
	slices.Sort(wantLevels)
	dir := t.TempDir()
	for range 2 { // the second start finds one missing
		s := serve(t, dir)
		client := s.admin(t)
		schemas, levels := flowConfigUIDs(t, client)
		if got := slices.Sorted(maps.Values(schemas)); !slices.Equal(got, wantSchemas) {
			t.Errorf("FlowSchemas are %v, want %v", got, wantSchemas)
		}
		if got := slices.Sorted(maps.Values(levels)); !slices.Equal(got, wantLevels) {
			t.Errorf("PriorityLevelConfigurations are %v, want %v", got, wantLevels)
		}
		if err := client.FlowcontrolV1().FlowSchemas().Delete(t.Context(), "global-default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		s.stop()
	}
}

// request sends one and returns its answer and the answer's body.
func request(t *testing.T, config *rest.Config, method, path string, body io.Reader) (*http.Response, string) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, config.Host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	response, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// The rooms of the process are treated as upstream's components, and a pod's account as everybody's.
func TestRequestsBelongToTheirFlowSchema(t *testing.T) {
	s := serve(t, t.TempDir())
	schemas, levels := flowConfigUIDs(t, s.admin(t))
	for _, test := range []struct {
		user          string // "" is the admin
		schema, level string
	}{
		{"", "exempt", "exempt"},
		{informersUser, "kube-controller-manager", "workload-high"},
		{"system:kube-scheduler", "kube-scheduler", "workload-high"},
		{"system:serviceaccount:kube-system:deployment-controller", "kube-system-service-accounts", "workload-high"},
		{"system:node:somewhere", "system-nodes", "system"},
		{"system:serviceaccount:default:default", "service-accounts", "workload-low"},
		{"system:kube-proxy", "global-default", "global-default"},
	} {
		config := s.adminConfig(t)
		if test.user != "" {
			config = s.ConfigFor(test.user)
		}
		var gotSchema, gotLevel string
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			response, _ := request(t, config, http.MethodGet, "/api/v1/namespaces/default/configmaps/none", nil)
			gotSchema = schemas[response.Header.Get(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID)]
			gotLevel = levels[response.Header.Get(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID)]
			return gotSchema == test.schema && gotLevel == test.level, nil
		})
		if err != nil {
			t.Errorf("a request of %q belongs to %q and %q, want %q and %q", test.user, gotSchema, gotLevel, test.schema, test.level)
		}
	}
	if _, dump := request(t, s.adminConfig(t), http.MethodGet, "/debug/api_priority_and_fairness/dump_priority_levels", nil); !strings.Contains(dump, "workload-high") {
		t.Errorf("the dump of priority levels is %q", dump)
	}
}

// narrowLevel is one with a seat or a few for the account default/crowd, and no queue.
func narrowLevel(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	const name = "narrow"
	_, err := client.FlowcontrolV1().PriorityLevelConfigurations().Create(t.Context(), &flowcontrolv1.PriorityLevelConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: ptr.To[int32](1),
				BorrowingLimitPercent:    ptr.To[int32](0),
				LimitResponse:            flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.FlowcontrolV1().FlowSchemas().Create(t.Context(), &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: name},
			MatchingPrecedence:         100,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: []flowcontrolv1.Subject{{
					Kind: flowcontrolv1.SubjectKindServiceAccount, ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: "default", Name: "crowd"},
				}},
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
					Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"*"}, ClusterScope: true,
				}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFullLevelRejectsAndOthersAreServed(t *testing.T) {
	s := serve(t, t.TempDir())
	narrowLevel(t, s.admin(t))
	crowd := s.ConfigFor("system:serviceaccount:default:crowd")
	_, err := s.admin(t).RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "crowd"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "crowd"}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const path = "/api/v1/namespaces/default/configmaps"

	var last *http.Response
	until := func(what string, done func() bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			last, _ = request(t, crowd, http.MethodGet, path, nil)
			return done(), nil
		})
		if err != nil {
			t.Fatalf("the level is not %s: the last answer was %v", what, last)
		}
	}
	until("open to the crowd", func() bool { return last.StatusCode == http.StatusOK })
	// Requests whose bodies do not end hold the seats. What they are answered in the end does not matter.
	client, err := rest.HTTPClientFor(crowd)
	if err != nil {
		t.Fatal(err)
	}
	const holders = 10
	var held sync.WaitGroup
	var bodies []*io.PipeWriter
	release := func() {
		for _, b := range bodies {
			b.Close()
		}
		held.Wait()
	}
	defer release()
	for range holders {
		body, end := io.Pipe()
		bodies = append(bodies, end)
		held.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, crowd.Host+path, body)
			if err != nil {
				t.Error(err)
				return
			}
			if response, err := client.Do(req); err == nil {
				response.Body.Close()
			}
		})
	}
	until("full", func() bool { return last.StatusCode == http.StatusTooManyRequests })
	if last.Header.Get("Retry-After") == "" {
		t.Errorf("a rejected request's headers are %v, want Retry-After", last.Header)
	}
	for name, config := range map[string]*rest.Config{"admin": s.adminConfig(t), "controllers": s.ConfigFor(informersUser)} {
		if response, text := request(t, config, http.MethodGet, path, nil); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s, want 200 beside a full level", name, response.Status, text)
		}
	}
	release()
	until("free again", func() bool { return last.StatusCode == http.StatusOK })
}

// A write is as wide as there are watches that hear of it, and a list as what it reads.
func TestWatchesAndObjectsAreCounted(t *testing.T) {
	s := serve(t, t.TempDir())
	client, err := kubernetes.NewForConfig(s.ConfigFor("system:serviceaccount:kube-system:namespace-controller"))
	if err != nil {
		t.Fatal(err)
	}
	admin := s.admin(t)
	w, err := admin.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for _, name := range []string{"a", "b"} {
		if _, err := admin.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.CoreV1().ConfigMaps("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, metrics := request(t, s.adminConfig(t), http.MethodGet, "/metrics", nil)
	watched := false
	for line := range strings.Lines(metrics) {
		watched = watched || strings.HasPrefix(line, "apiserver_flowcontrol_watch_count_samples_sum{") && !strings.HasSuffix(strings.TrimSpace(line), " 0")
	}
	if !watched {
		t.Error("no watch was counted for the write")
	}
	maps, err := admin.CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	counts := objectCounts{s.cfg.Store}
	if stats, err := counts.Get("configmaps"); err != nil || int(stats.ObjectCount) != len(maps.Items) || stats.EstimatedAverageObjectSizeBytes < 10 {
		t.Errorf("ConfigMaps are %+v, %v; want %d", stats, err, len(maps.Items))
	}
	if _, err := counts.Get("nothings.example.com"); !errors.Is(err, flowcontrolrequest.ObjectCountNotFoundErr) {
		t.Errorf("an unknown resource gives %v, want %v", err, flowcontrolrequest.ObjectCountNotFoundErr)
	}
}
