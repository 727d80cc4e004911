package why

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// defaultClassAnnotation marks the StorageClass of claims that name none.
const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class"

// claim explains why a PersistentVolumeClaim has no volume.
func (l *look) claim(c *v1.PersistentVolumeClaim) links {
	at := Object{"PersistentVolumeClaim", c.Namespace, c.Name}
	switch {
	case c.DeletionTimestamp != nil:
		return l.endingClaim(at, c)
	case c.Status.Phase == v1.ClaimBound:
		return links{well(at, "has the volume %s, of %s", c.Spec.VolumeName, amountOf(c.Status.Capacity))}
	case c.Status.Phase == v1.ClaimLost:
		return links{broken(at, "has lost its volume: the PersistentVolume %s does not exist any more", c.Spec.VolumeName).
			mended(note(l.command(c.Namespace, "delete pvc %s", c.Name), "then apply it again; what was in the volume is gone"))}
	case c.Spec.VolumeName != "":
		return links{l.chosenVolume(at, c)}
	}
	classes, ok := listOf(l, "storageclasses", "", l.client.StorageV1().StorageClasses())
	if !ok {
		return links{Link{Object: at, State: Unknown, Sentence: "has no volume yet"}.seen(l.warnings(c)...)}
	}
	names := named(classes.Items, func(s *storagev1.StorageClass) string { return s.Name })
	if c.Spec.StorageClassName == nil {
		return links{broken(at, "has no volume: it names no StorageClass, and none is marked as the default").
			seen("StorageClasses: " + list(names)).
			mended(l.command("", "annotate storageclass CLASS %s=true", defaultClassAnnotation))}
	}
	class := *c.Spec.StorageClassName
	n := slices.Index(names, class)
	if n < 0 {
		return links{l.madeByHand(at, c, class, names)}
	}
	return l.dynamicVolume(at, c, &classes.Items[n])
}

func amountOf(capacity v1.ResourceList) string {
	q := capacity[v1.ResourceStorage]
	return q.String()
}

// chosenVolume explains a claim that names its volume.
func (l *look) chosenVolume(at Object, c *v1.PersistentVolumeClaim) Link {
	pv, found := get(l, "persistentvolume", c.Spec.VolumeName, l.client.CoreV1().PersistentVolumes())
	switch {
	case found == missing:
		return broken(at, "wants the PersistentVolume %s, which does not exist%s", quote(c.Spec.VolumeName), orNearest(c.Spec.VolumeName, l.volumeNames())).
			seen("spec.volumeName: "+c.Spec.VolumeName, "PersistentVolumes: "+list(l.volumeNames()))
	case found == present && pv.Spec.ClaimRef != nil && pv.Spec.ClaimRef.UID != c.UID && (pv.Spec.ClaimRef.Name != c.Name || pv.Spec.ClaimRef.Namespace != c.Namespace):
		return broken(at, "wants the PersistentVolume %s, which belongs to the claim %s of namespace %s", c.Spec.VolumeName, pv.Spec.ClaimRef.Name, pv.Spec.ClaimRef.Namespace).
			seen(fmt.Sprintf("phase of the volume: %s", pv.Status.Phase))
	}
	return waiting(at, "is about to be bound to the PersistentVolume %s", c.Spec.VolumeName).seen(l.warnings(c)...)
}

func (l *look) volumeNames() []string {
	all, ok := listOf(l, "persistentvolumes", "", l.client.CoreV1().PersistentVolumes())
	if !ok {
		return nil
	}
	return named(all.Items, func(v *v1.PersistentVolume) string { return v.Name })
}

// madeByHand explains a claim whose class makes no volumes: one that somebody made has to fit.
func (l *look) madeByHand(at Object, c *v1.PersistentVolumeClaim, class string, classes []string) Link {
	volumes, _ := listOf(l, "persistentvolumes", "", l.client.CoreV1().PersistentVolumes())
	var misfits []string
	if volumes != nil {
		for n := range volumes.Items {
			if v := &volumes.Items[n]; v.Spec.StorageClassName == class {
				misfits = append(misfits, fmt.Sprintf("PersistentVolume %s does not fit: %s", v.Name, misfit(c, v)))
			}
		}
	}
	switch {
	case len(misfits) > 0:
		return broken(at, "has no volume: of the PersistentVolumes of class %s none fits", quote(class)).seen(misfits...).
			mended(note(l.command(c.Namespace, "replace --force -f FILE"), "the claim with less in it, or make a PersistentVolume that fits"))
	case class == "":
		return broken(at, `has no volume: its storageClassName "" asks for a PersistentVolume made by hand, and there is none without a class`).
			seen("StorageClasses: " + list(classes)).
			mended(note(l.command(c.Namespace, "replace --force -f FILE"), "the claim without storageClassName, for the default class"))
	}
	return broken(at, "has no volume: its StorageClass %s does not exist%s", quote(class), orNearest(class, classes)).
		seen("StorageClasses: " + list(classes)).
		mended(note(l.command(c.Namespace, "replace --force -f FILE"), "the claim with another class, or with none for the default one"))
}

// misfit says why a volume is not the one for a claim.
func misfit(c *v1.PersistentVolumeClaim, v *v1.PersistentVolume) string {
	want, has := c.Spec.Resources.Requests[v1.ResourceStorage], v.Spec.Capacity[v1.ResourceStorage]
	switch {
	case v.Spec.ClaimRef != nil && (v.Spec.ClaimRef.Namespace != c.Namespace || v.Spec.ClaimRef.Name != c.Name):
		return fmt.Sprintf("it belongs to the claim %s of namespace %s", v.Spec.ClaimRef.Name, v.Spec.ClaimRef.Namespace)
	case has.Cmp(want) < 0:
		return fmt.Sprintf("it has %s, and the claim asks for %s", has.String(), want.String())
	}
	for _, mode := range c.Spec.AccessModes {
		if !slices.Contains(v.Spec.AccessModes, mode) {
			return fmt.Sprintf("its access modes are %v, and the claim asks for %s", v.Spec.AccessModes, mode)
		}
	}
	return fmt.Sprintf("its phase is %s", v.Status.Phase)
}

// dynamicVolume explains a claim whose class has volumes made.
func (l *look) dynamicVolume(at Object, c *v1.PersistentVolumeClaim, class *storagev1.StorageClass) links {
	if failed := l.events(c.Namespace, c.UID, "ProvisioningFailed"); len(failed) > 0 {
		return links{broken(at, "has no volume: the provisioner %s cannot make one: %s", class.Provisioner, firstLine(failed[0].Message)).seen(l.eventLine(failed[0]))}
	}
	users := l.usersOf(c)
	if class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer {
		if len(users) == 0 {
			return links{waiting(at, "gets its volume when the first pod uses it, and no pod does").
				seen(fmt.Sprintf("volumeBindingMode of StorageClass %s: WaitForFirstConsumer", class.Name))}
		}
		if l.kept["unscheduled "+users[0].Name] == nil && users[0].Spec.NodeName == "" {
			l.kept["unscheduled "+users[0].Name] = true // its claims lead here again
			if found := l.unscheduled(users[0]); found.state() == Broken {
				return append(links{waiting(at, "gets its volume when pod %s, which uses it, is placed on a node", users[0].Name)}, found...)
			}
		}
	}
	if class.Provisioner == "kubernetes.io/no-provisioner" {
		return links{l.madeByHand(at, c, class.Name, nil)}
	}
	if asked := l.events(c.Namespace, c.UID, "ExternalProvisioning"); len(asked) > 0 && len(l.events(c.Namespace, c.UID, "Provisioning")) == 0 {
		return links{broken(at, "has no volume: its StorageClass %s has them made by %s, which has not said that it is at work", class.Name, quote(class.Provisioner)).
			seen(l.eventLine(asked[0])).mended(note(l.command(c.Namespace, "replace --force -f FILE"), "the claim with another class, or install what makes volumes for "+class.Provisioner))}
	}
	return links{waiting(at, "its volume is being made by %s", class.Provisioner).seen(l.eventLines(1, l.events(c.Namespace, c.UID))...)}
}

// usersOf are the pods that use a claim.
func (l *look) usersOf(c *v1.PersistentVolumeClaim) (out []*v1.Pod) {
	all := l.pods(c.Namespace)
	for n := range all {
		for _, v := range all[n].Spec.Volumes {
			if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == c.Name {
				out = append(out, &all[n])
			}
		}
	}
	return out
}

// protection keeps a claim while pods use it.
const protection = "kubernetes.io/pvc-protection"

func (l *look) endingClaim(at Object, c *v1.PersistentVolumeClaim) links {
	users := l.usersOf(c)
	if len(users) == 0 || !slices.Contains(c.Finalizers, protection) {
		return links{l.ending(at, c)}
	}
	var names []string
	for _, p := range users {
		names = append(names, p.Name)
	}
	return links{broken(at, "was deleted %s ago and stays while a pod uses it: %s", l.since(c.DeletionTimestamp.Time), list(names)).
		seen("metadata.finalizers: " + list(c.Finalizers)).mended(note(l.command(c.Namespace, "delete pod %s", names[0]), "or what keeps it"))}
}
