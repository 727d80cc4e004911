package why

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	v1 "k8s.io/api/core/v1"
)

// image explains a container whose image is not to be had.
func (l *look) image(pod *v1.Pod, c *v1.Container, w *v1.ContainerStateWaiting) Link {
	at := podObject(pod)
	name, err := reference.ParseNormalizedNamed(c.Image)
	if err != nil || w.Reason == "InvalidImageName" {
		return broken(at, "the image of container %s, %s, is no name that an image can have", c.Name, quote(c.Image)).
			seen(w.Reason + ": " + w.Message).mended(l.setImage(pod, c, "NAME:TAG")).caused(ImageMissing)
	}
	said := pullError(w.Message)
	text := fmt.Sprintf("is not on node %s, and %s", pod.Spec.NodeName, pullWords(name, said))
	if w.Reason == "ErrImageNeverPull" || c.ImagePullPolicy == v1.PullNever {
		text = fmt.Sprintf("is not on node %s, and imagePullPolicy Never forbids to pull it", pod.Spec.NodeName)
	}
	local, complete := l.imagesOf(pod.Spec.NodeName)
	close := nearestImages(name, local)
	out := broken(at, "the image %s of container %s %s%s", quote(c.Image), c.Name, text, thereIs(close)).seen(w.Reason + ": " + said).
		caused(imageCause(c, w, said))
	if refused(said) {
		if secret := l.missingPullSecret(pod); secret != "" {
			out = out.seen(secret)
		}
	}
	switch {
	case len(close) > 0:
		return out.mended(l.setImage(pod, c, close[len(close)-1]))
	case complete:
		return out.mended(note("docker build -t "+c.Image+" DIR", "or "+l.setImage(pod, c, "NAME:TAG")))
	}
	return out.mended(l.setImage(pod, c, "NAME:TAG"))
}

func (l *look) setImage(pod *v1.Pod, c *v1.Container, image string) string {
	o := l.ownerOf(pod)
	if o.fixed && !strings.HasPrefix(o.resource, "pod/") {
		return l.edited(pod, "name the image "+image)
	}
	return l.command(pod.Namespace, "set image %s %s=%s", o.resource, c.Name, image)
}

// thereIs names images that are nearly the one.
func thereIs(images []string) string {
	switch len(images) {
	case 0:
		return ""
	case 1:
		return "; there is " + images[0]
	}
	return "; there are " + list(images)
}

// pullError is what the registry said, without what node agents put before it.
func pullError(message string) string {
	for _, lead := range []string{"ErrImagePull: ", "ErrImageNeverPull: "} {
		if _, rest, ok := strings.Cut(message, lead); ok {
			message = rest
		}
	}
	return strings.TrimSpace(message)
}

// refused tells of a registry that wants to know who asks.
func refused(said string) bool {
	low := strings.ToLower(said)
	return strings.Contains(low, "denied") || strings.Contains(low, "unauthorized") || strings.Contains(low, "authentication required") || strings.Contains(low, "no basic auth")
}

// imageCause tells an image that there is none of from one that may be there a moment later.
func imageCause(c *v1.Container, w *v1.ContainerStateWaiting, said string) Cause {
	switch {
	case w.Reason == "ErrImageNeverPull", c.ImagePullPolicy == v1.PullNever, refused(said), says(said, "no matching manifest"):
		return ImageMissing
	case unreachable(said):
		return RegistryUnreachable
	case absent(said):
		return ImageMissing
	}
	return ""
}

// says tells whether one of the parts is in what was said, in whichever case.
func says(said string, parts ...string) bool {
	low := strings.ToLower(said)
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(low, part) })
}

// unreachable tells of a registry that does not answer.
func unreachable(said string) bool {
	return says(said, "no such host", "did not answer", "dial tcp", "connection refused", "timeout", "deadline exceeded", "unreachable", "network")
}

// absent tells of a registry that has no such image.
func absent(said string) bool { return says(said, "not found", "manifest unknown", "does not exist") }

// pullWords puts into words why a pull failed.
func pullWords(name reference.Named, said string) string {
	registry := reference.Domain(name)
	switch {
	case refused(said):
		return fmt.Sprintf("the registry %s gives it to nobody without a login, or does not have it", registry)
	case says(said, "no matching manifest"):
		return fmt.Sprintf("the registry %s does not have it for this machine's processor", registry)
	case unreachable(said):
		return fmt.Sprintf("its registry %s cannot be reached", registry)
	case absent(said):
		return fmt.Sprintf("the registry %s does not have it", registry)
	case says(said, "no space left"):
		return "there is no space left on the disk to pull it"
	}
	return "it cannot be pulled: " + firstLine(said)
}

// nearestImages are those of the same repository, else of the one that is nearly named so. The last one is the newest by
// its tag's order.
func nearestImages(want reference.Named, local []string) (out []string) {
	byRepository := map[string][]string{}
	for _, image := range local {
		if name, err := reference.ParseNormalizedNamed(image); err == nil && !strings.Contains(image, "@") {
			short := reference.FamiliarName(name)
			byRepository[short] = append(byRepository[short], image)
		}
	}
	asked := reference.FamiliarName(want)
	if out = byRepository[asked]; len(out) == 0 {
		var names []string
		for name := range byRepository {
			names = append(names, name)
		}
		out = byRepository[nearest(asked, names)]
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// missingPullSecret names an imagePullSecret that is not there.
func (l *look) missingPullSecret(pod *v1.Pod) string {
	for _, ref := range pod.Spec.ImagePullSecrets {
		if _, found := get(l, "secret", ref.Name, l.client.CoreV1().Secrets(pod.Namespace)); found == missing {
			return fmt.Sprintf("spec.imagePullSecrets names the Secret %s, which does not exist%s", quote(ref.Name), orNearest(ref.Name, l.secretNames(pod.Namespace)))
		}
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		return "the pod has no imagePullSecrets"
	}
	return ""
}
