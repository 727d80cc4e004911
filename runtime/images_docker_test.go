package runtime

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/kube-lite/kube-lite/runtime/images"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lockedRegistry is a registry on loopback that lets ann in, with one image of nothing but
// noise; it returns the registry's address and the image's digest.
func lockedRegistry(t *testing.T, repository string) (host, digest string) {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "hush" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	tag, err := name.NewTag(host + "/" + repository + ":1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image, remote.WithAuth(&authn.Basic{Username: "ann", Password: "hush"})); err != nil {
		t.Fatal(err)
	}
	sum, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return host, sum.String()
}

// pullSecret declares a secret with ann's login.
func (r *dockerRig) pullSecret(name, host string) {
	r.t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte("ann:hush"))
	secret := &v1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Type: v1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{v1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, host, auth)},
	}
	if _, err := r.client.CoreV1().Secrets("default").Create(r.t.Context(), secret, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// pulls declares a Pod of an image that cannot run, and forgets the image in the end.
func (r *dockerRig) pulls(pod, image string, secrets ...v1.LocalObjectReference) {
	r.t.Helper()
	r.t.Cleanup(func() {
		if err := r.engine.RemoveImage(context.Background(), image, true); err != nil {
			r.t.Error(err)
		}
	})
	r.declare(pod, func(p *v1.Pod) {
		c := r.container("one")
		c.Image, c.Command = image, []string{"/none"}
		p.Spec.RestartPolicy, p.Spec.Containers, p.Spec.ImagePullSecrets = v1.RestartPolicyNever, []v1.Container{c}, secrets
	})
}

func TestImagesOfALockedRegistryArePulledOnDocker(t *testing.T) {
	before := config.Dir()
	config.SetDir(t.TempDir()) // the package reads DOCKER_CONFIG once per process
	t.Cleanup(func() { config.SetDir(before) })
	r := newDockerRig(t)
	ended := func(pod string) {
		t.Helper()
		r.await(pod, "ended", func(p *v1.Pod) bool { return pods.IsFinal(p.Status.Phase) })
		for name, c := range r.containers() {
			if strings.Contains(name, "_"+pod+"_") {
				if err := r.engine.Remove(t.Context(), c.ID); err != nil {
					t.Error(err)
				}
			}
		}
	}
	t.Run("not by strangers", func(t *testing.T) {
		host, _ := lockedRegistry(t, "team/app")
		r.pulls("stranger", host+"/team/app:1", v1.LocalObjectReference{Name: "missing"})
		r.eventually("stranger", "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (missing)")
		r.await("stranger", "in back-off", func(p *v1.Pod) bool {
			return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting.Reason == images.ReasonImagePullBackOff
		})
	})
	for name, image := range map[string]string{"tag": ":1", "digest": "@", "both": ":1@"} {
		t.Run("with the pod's secret by "+name, func(t *testing.T) {
			host, digest := lockedRegistry(t, "team/"+name)
			r.pullSecret(name, host)
			image = host + "/team/" + name + image
			if strings.HasSuffix(image, "@") {
				image += digest
			}
			r.pulls(name, image, v1.LocalObjectReference{Name: name})
			r.eventually(name, "Pulled: Successfully pulled image \""+image)
			ended(name)
		})
	}
	t.Run("with the login of the docker command", func(t *testing.T) {
		other, _ := lockedRegistry(t, "mine")
		login := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, other, base64.StdEncoding.EncodeToString([]byte("ann:hush")))
		if err := os.WriteFile(filepath.Join(config.Dir(), "config.json"), []byte(login), 0o600); err != nil {
			t.Fatal(err)
		}
		r.pulls("logged-in", other+"/mine:1")
		ended("logged-in")
	})
}

func TestImageThatIsImportedIsNoticedOnDocker(t *testing.T) {
	r := newDockerRig(t)
	late := r.image + "-late"
	r.declare("web", func(p *v1.Pod) {
		c := r.container("one", "sleep")
		c.Image, c.ImagePullPolicy = late, v1.PullNever
		p.Spec.Containers = []v1.Container{c}
	})
	r.await("web", "waiting", func(p *v1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil && p.Status.ContainerStatuses[0].State.Waiting.Reason == images.ReasonErrImageNeverPull
	})
	t.Cleanup(func() {
		r.stop()
		for _, c := range r.containers() { // one that uses the image would keep it, without a name
			if err := r.engine.Remove(context.Background(), c.ID); err != nil {
				t.Error(err)
			}
		}
		if err := r.engine.RemoveImage(context.Background(), late, true); err != nil {
			t.Error(err)
		}
	})
	importTestImage(t, r.engine, late)
	began := time.Now()
	r.await("web", "ready", ready)
	t.Logf("ready %v after the image came", time.Since(began))
}
