package runtime

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func testPod() *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid", Labels: map[string]string{"app": "web"}},
		Spec:       v1.PodSpec{NodeName: "node", ServiceAccountName: "default", DNSPolicy: v1.DNSClusterFirst},
	}
}
