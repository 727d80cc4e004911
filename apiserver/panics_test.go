package apiserver

import (
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Upstream's strategic merge patch compares what cannot be compared. Its panic is the request's alone, and says so.
func TestAPanicIsAnsweredWithAStatus(t *testing.T) {
	client := serve(t, t.TempDir()).admin(t)
	pod := robot(t, client)
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := `{"spec":{"containers":[{"name":{},"image":"x"},{"name":{},"image":"x"}]}}`
	_, err := client.CoreV1().Pods("default").Patch(t.Context(), "p", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "panic") {
		t.Errorf("a patch that panics: %v", err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "next"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// What was begun cannot be taken back: the client must see that it did not end well.
func TestAPanicInTheMiddleOfAResponseCutsItOff(t *testing.T) {
	s := serve(t, t.TempDir())
	s.generic.Handler.NonGoRestfulMux.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the first half")
		w.(http.Flusher).Flush()
		panic("half")
	})
	if text, err := s.admin(t).Discovery().RESTClient().Get().AbsPath("/half").DoRaw(t.Context()); err == nil {
		t.Errorf("half a response passes for a whole one: %q", text)
	}
}
