package images

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	credentialsecrets "k8s.io/kubernetes/pkg/credentialprovider/secrets"
)

// credentials are those that the Pod's imagePullSecrets hold for an image's registry, in
// the order in which a kubelet tries them; none means to ask as the docker command does. A secret that
// cannot be read is told in an event, and the pull is tried without it.
// https://kubernetes.io/docs/concepts/containers/images/#specifying-imagepullsecrets-on-a-pod
func (m *Images) credentials(ctx context.Context, pod *v1.Pod, image string) (out []docker.Credentials) {
	var found []v1.Secret
	var missing []string
	for _, ref := range pod.Spec.ImagePullSecrets {
		if ref.Name == "" { // the API allows it, and it means nothing
			continue
		}
		secret, err := m.config.Secret(ctx, pod.Namespace, ref.Name)
		if err != nil {
			missing = append(missing, ref.Name)
			continue
		}
		found = append(found, *secret)
	}
	if len(missing) > 0 {
		m.config.Event(pod, nil, v1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
			"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(missing, ", "))
	}
	keyring, err := credentialsecrets.MakeDockerKeyring(found, &credentialprovider.BasicDockerKeyring{})
	if err != nil {
		m.config.Event(pod, nil, v1.EventTypeWarning, "FailedToRetrieveImagePullSecret", "Unable to read the image pull secrets: %v", err)
		return nil
	}
	matching, _ := keyring.Lookup(image)
	for _, c := range matching {
		out = append(out, docker.Credentials{
			Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, ServerAddress: c.ServerAddress,
		})
	}
	return out
}

// pullKey tells pulls apart: the same image with other credentials is another pull.
func pullKey(image string, with []docker.Credentials) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q", with)
	return fmt.Sprintf("%s %x", image, h.Sum64())
}
