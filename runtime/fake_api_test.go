package runtime

import (
	"encoding/json"
	"errors"
	"strconv"
	"sync"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
	"k8s.io/kubernetes/pkg/apis/core"
	corev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// newFakeAPI is client-go's fake API, which writes Pods as an API server does: who writes the
// status leaves the rest alone, and the other way round. Without, the agent that writes a
// status takes back the deletion that a test marked a moment before.
func newFakeAPI() *fake.Clientset {
	client := fake.NewClientset()
	var mu sync.Mutex
	version := 0 // guarded by mu
	client.PrependReactor("update", "pods", func(action ktesting.Action) (bool, runtime.Object, error) {
		written := action.(ktesting.UpdateAction).GetObject().(*v1.Pod).DeepCopy()
		mu.Lock()
		defer mu.Unlock()
		found, err := client.Tracker().Get(action.GetResource(), written.Namespace, written.Name)
		if err != nil {
			return true, nil, err
		}
		pod := found.(*v1.Pod).DeepCopy()
		if written.UID != pod.UID || written.ResourceVersion != "" && written.ResourceVersion != pod.ResourceVersion {
			return true, nil, apierrors.NewConflict(v1.Resource("pods"), written.Name, errors.New("the object has been modified"))
		}
		if action.GetSubresource() == "status" {
			if err := allowed(pod, written); err != nil {
				return true, nil, err
			}
			if pod.Status, err = asStored(written.Status); err != nil {
				return true, nil, err
			}
		} else {
			status := pod.Status
			pod = written
			pod.Status = status
		}
		version++
		pod.ResourceVersion = strconv.Itoa(version)
		if err := client.Tracker().Update(action.GetResource(), pod, pod.Namespace); err != nil {
			return true, nil, err
		}
		answer, err := client.Tracker().Get(action.GetResource(), pod.Namespace, pod.Name)
		return true, answer, err
	})
	return client
}

// allowed is the API server's check of a status: containers that will not be restarted stay as they ended.
func allowed(before, after *v1.Pod) error {
	var old, now core.Pod
	if err := errors.Join(corev1.Convert_v1_Pod_To_core_Pod(before.DeepCopy(), &old, nil), corev1.Convert_v1_Pod_To_core_Pod(after.DeepCopy(), &now, nil)); err != nil {
		return err
	}
	options, path := validation.PodValidationOptions{AllowContainerRestartPolicyRules: true, AllowRestartAllContainers: true}, field.NewPath("status")
	bad := validation.ValidateContainerStateTransition(now.Status.ContainerStatuses, old.Status.ContainerStatuses, path.Child("containerStatuses"), old.Spec, options)
	bad = append(bad, validation.ValidateInitContainerStateTransition(now.Status.InitContainerStatuses, old.Status.InitContainerStatuses, path.Child("initContainerStatuses"), old.Spec, options)...)
	bad = append(bad, validation.ValidateEphemeralContainerStateTransition(now.Status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses, path.Child("ephemeralContainerStatuses"))...)
	if len(bad) > 0 {
		return apierrors.NewInvalid(v1.SchemeGroupVersion.WithKind("Pod").GroupKind(), after.Name, bad)
	}
	return nil
}

// asStored is a status as an API server gives it back: with times of whole seconds.
func asStored(s v1.PodStatus) (out v1.PodStatus, err error) {
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	return out, err
}
