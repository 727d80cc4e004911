package runtime

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	credentialsecrets "k8s.io/kubernetes/pkg/credentialprovider/secrets"
)

// credentials are those that the Pod's imagePullSecrets hold for an image's registry, in
// the order in which a kubelet tries them; none means to ask anonymously. A secret that
// cannot be read is told in an event, and the pull is tried without it.
// https://kubernetes.io/docs/concepts/containers/images/#specifying-imagepullsecrets-on-a-pod
func (a *Agent) credentials(ctx context.Context, pod *v1.Pod, image string) (out []docker.Credentials) {
	var found []v1.Secret
	for _, ref := range pod.Spec.ImagePullSecrets {
		secret, err := a.secret(ctx, pod.Namespace, ref.Name)
		if err != nil {
			a.event(pod, nil, v1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
				"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", ref.Name)
			continue
		}
		found = append(found, *secret)
	}
	keyring, err := credentialsecrets.MakeDockerKeyring(found, &credentialprovider.BasicDockerKeyring{})
	if err != nil {
		a.event(pod, nil, v1.EventTypeWarning, "FailedToRetrieveImagePullSecret", "Unable to read the image pull secrets: %v", err)
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
