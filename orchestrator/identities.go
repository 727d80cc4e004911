package orchestrator

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
)

// directoriesAccount is the ServiceAccount of the loops that are ours.
const directoriesAccount = "directory-provisioner"

// users are those as which loops connect: ServiceAccounts in kube-system, with the names that kube-controller-manager
// --use-service-account-credentials gives them, and the users of what is no controller. A loop that is not here has an
// account of its own name.
func users() map[string]string {
	names := map[string]string{
		"default-scheduler":               user.KubeScheduler,
		"serviceaccount-token-controller": user.KubeControllerManager, // it makes the tokens that the others connect with
	}
	for loop, name := range map[string]string{
		"daemonset-controller":                           "daemon-set-controller",
		"replicationcontroller-controller":               "replication-controller",
		"horizontal-pod-autoscaler-controller":           "horizontal-pod-autoscaler",
		"endpoints-controller":                           "endpoint-controller",
		"endpointslice-mirroring-controller":             "endpointslicemirroring-controller",
		"serviceaccount-controller":                      "service-account-controller",
		"root-ca-certificate-publisher-controller":       "root-ca-cert-publisher",
		"garbage-collector-controller":                   "generic-garbage-collector",
		"pod-garbage-collector-controller":               "pod-garbage-collector",
		"resourceclaim-controller":                       "resource-claim-controller",
		"node-lifecycle-controller":                      "node-controller",
		"taint-eviction-controller":                      "node-controller",
		"persistentvolume-binder-controller":             "persistent-volume-binder",
		"persistentvolumeclaim-protection-controller":    "pvc-protection-controller",
		"persistentvolume-protection-controller":         "pv-protection-controller",
		"certificatesigningrequest-signing-controller":   "certificate-controller",
		"certificatesigningrequest-approving-controller": "certificate-controller",
		"certificatesigningrequest-cleaner-controller":   "certificate-controller",
		"service-cidr-controller":                        "service-cidrs-controller",
		"service-lb-controller":                          "service-controller",
		"directory-classes":                              directoriesAccount,
		"directory-provisioner":                          directoriesAccount,
	} {
		names[loop] = account(name)
	}
	return names
}

// account is the user name of a ServiceAccount in kube-system.
func account(name string) string { return serviceaccount.MakeUsername(metav1.NamespaceSystem, name) }

// of is the same world for the loop of this name, which connects as its own user.
func (w *world) of(loop string) (*world, error) {
	if w.opts.ConfigFor == nil {
		return w, nil
	}
	name, ok := w.users[loop]
	if !ok {
		name = account(loop)
	}
	own := *w
	own.config = w.opts.ConfigFor(name)
	var err error
	if own.client, err = kubernetes.NewForConfig(own.config); err != nil {
		return nil, fmt.Errorf("client of %s: %w", name, err)
	}
	return &own, nil
}
