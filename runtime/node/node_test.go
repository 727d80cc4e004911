package node

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

type answering struct{}

func (answering) Ping(context.Context) error { return nil }

func (answering) Info(context.Context) (docker.Info, error) {
	return docker.Info{Version: "29.1", RootDir: "/docker", CgroupDriver: "systemd"}, nil
}

func TestNodeIsReadyWhileTheEngineAnswers(t *testing.T) {
	client, reasons := fake.NewClientset(), []string{}
	n := New(Config{
		Name: "laptop", Version: DefaultVersion, MaxPods: 7, PodCIDRs: []string{"10.244.0.0/24"}, Root: t.TempDir(), Register: true, Sharing: func() int { return 1 },
		Client: client, Nodes: corelisters.NewNodeLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)),
		Engine: answering{}, EngineReady: func() bool { return true }, Addresses: func() pods.IPs { return pods.IPs{"192.0.2.1"} },
		Event: func(_ runtime.Object, _, reason, _ string) { reasons = append(reasons, reason) }, OnCheck: func() {},
		Log: slog.New(slog.DiscardHandler),
	})
	n.Available = func() Available { return Available{} }
	if err := n.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	registered := func() *v1.Node {
		o, err := client.CoreV1().Nodes().Get(t.Context(), "laptop", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := registered()
	if c := Condition(o, v1.NodeReady); c == nil || c.Status != v1.ConditionTrue || o.Status.Capacity.Pods().Value() != 7 ||
		o.Spec.PodCIDR != "10.244.0.0/24" || o.Status.Addresses[0].Address != "192.0.2.1" || o.Status.NodeInfo.ContainerRuntimeVersion != "docker://29.1" {
		t.Errorf("the node is %+v", o)
	}
	if driver, err := n.CgroupDriver(t.Context()); driver != "systemd" || err != nil || n.DockerRoot() != "/docker" {
		t.Errorf("Docker has driver %q and root %q, %v", driver, n.DockerRoot(), err)
	}
	n.EngineChanged(false, errors.New("it is gone"))
	select {
	case <-n.check:
	default:
		t.Error("the status is not checked when Docker goes")
	}
	if err := n.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := Condition(registered(), v1.NodeReady); c.Status != v1.ConditionFalse || c.Message != "container runtime is down: it is gone" {
		t.Errorf("without Docker it is %+v", c)
	}
	if !slices.Contains(reasons, "NodeReady") || reasons[len(reasons)-1] != "NodeNotReady" {
		t.Errorf("the events are %q", reasons)
	}
}

func TestALeaseThatNobodyAppliedHasNoManagedFields(t *testing.T) {
	entry := func(operation metav1.ManagedFieldsOperationType) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: "kube-lite", Operation: operation}
	}
	for _, c := range []struct {
		name      string
		has, want []metav1.ManagedFieldsEntry
	}{
		{"none", nil, nil},
		{"the agent's", []metav1.ManagedFieldsEntry{entry(metav1.ManagedFieldsOperationUpdate)}, []metav1.ManagedFieldsEntry{{}}},
		{
			"somebody applied", []metav1.ManagedFieldsEntry{entry(metav1.ManagedFieldsOperationUpdate), entry(metav1.ManagedFieldsOperationApply)},
			[]metav1.ManagedFieldsEntry{entry(metav1.ManagedFieldsOperationUpdate), entry(metav1.ManagedFieldsOperationApply)},
		},
	} {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ManagedFields: c.has}}
		if forgetManagers(l); !reflect.DeepEqual(l.ManagedFields, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, l.ManagedFields, c.want)
		}
	}
}
