package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"
	"k8s.io/kubectl/pkg/util"

	"github.com/kube-lite/kube-lite/manifest"
	"github.com/kube-lite/kube-lite/verdict"
)

// manifests are what -f and -k name.
type manifests struct {
	files   []manifest.File // those with positions: not URLs, not what a kustomization makes
	objects []*unstructured.Unstructured
}

// readManifests reads everything before anything is made.
func (t *test) readManifests() (manifests, error) {
	var m manifests
	opts := resource.FilenameOptions{Kustomize: t.kustomize, Recursive: t.recursive}
	builder := resource.NewLocalBuilder().Unstructured()
	for _, name := range t.names {
		switch {
		case name == "-":
			data, err := io.ReadAll(t.stdin)
			if err != nil {
				return m, fmt.Errorf("read standard input: %w", err)
			}
			m.files = append(m.files, manifest.File{Name: stdinName, Data: data})
			builder = builder.Stream(bytes.NewReader(data), stdinName)
			continue
		case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		default:
			paths, err := matches(name)
			if err != nil {
				return m, err
			}
			for _, path := range paths {
				m.files = append(m.files, filesBelow(path, t.recursive)...)
			}
		}
		opts.Filenames = append(opts.Filenames, name)
	}
	if len(opts.Filenames) > 0 || opts.Kustomize != "" {
		builder = builder.FilenameParam(false, &opts)
	}
	infos, err := builder.Flatten().Do().Infos()
	if err != nil {
		// What is wrong with a text is better said by its position.
		if t.input = m; !t.sound(nil) {
			return m, errors.New("the manifests cannot be read")
		}
		return m, err
	}
	for _, info := range infos {
		if o, ok := info.Object.(*unstructured.Unstructured); ok {
			m.objects = append(m.objects, o)
		}
	}
	if len(m.objects) == 0 {
		return m, errors.New("there is no object in the manifests")
	}
	slices.SortStableFunc(m.objects, func(a, b *unstructured.Unstructured) int {
		return rankOf(a.GroupVersionKind().GroupKind()) - rankOf(b.GroupVersionKind().GroupKind())
	})
	return m, nil
}

// apply sends the objects, those first that others need, but for Jobs that are checks: their turn comes later.
func (t *test) apply(ctx context.Context) ([]verdict.Object, error) {
	later := map[string]bool{}
	for _, c := range t.checks {
		later[c.Job()] = true
	}
	var all []verdict.Object
	for _, o := range t.input.objects {
		if isJob(o) && later[o.GetName()] {
			continue
		}
		applied, err := t.cluster.apply(ctx, o)
		if err != nil {
			return nil, err
		}
		all = append(all, applied)
	}
	return all, nil
}

func isJob(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().GroupKind().String() == "Job.batch"
}

// checkJobs refuses checks by Jobs that are not among the manifests.
func (t *test) checkJobs() error {
	for _, c := range t.checks {
		if job := c.Job(); job != "" && t.job(job) == nil {
			return fmt.Errorf("--exec %s: there is no Job of this name in the manifests", c.Exec)
		}
	}
	return nil
}

// job is the Job of a name among the manifests.
func (t *test) job(name string) *unstructured.Unstructured {
	n := slices.IndexFunc(t.input.objects, func(o *unstructured.Unstructured) bool { return isJob(o) && o.GetName() == name })
	if n < 0 {
		return nil
	}
	return t.input.objects[n]
}

// applyJob sends the Job that is a check.
func (t *test) applyJob(ctx context.Context, c *verdict.Check) (verdict.Object, error) {
	return t.cluster.apply(ctx, t.job(c.Job()))
}

// codeOf tells manifests that a server refuses from a server that does not answer.
func codeOf(ctx context.Context, err error) int {
	var refused apierrors.APIStatus
	var unreached *url.Error
	switch {
	case ctx.Err() != nil:
		return exitNotReady
	case apierrors.IsUnauthorized(err):
		return exitMachine
	case errors.As(err, &refused):
		return exitManifests
	case errors.As(err, &unreached):
		return exitMachine
	}
	return exitManifests // a kind that nobody defines, a file that says nothing
}

// apply makes the object, or changes it to what is declared.
func (c *cluster) apply(ctx context.Context, o *unstructured.Unstructured) (verdict.Object, error) {
	var out verdict.Object
	mapping, err := c.mapping(ctx, o)
	if err != nil {
		return out, err
	}
	o = o.DeepCopy()
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		o.SetNamespace("")
	} else if o.GetNamespace() == "" {
		o.SetNamespace(c.Namespace)
	}
	if err := util.CreateApplyAnnotation(o, unstructured.UnstructuredJSONScheme); err != nil { // so that kubectl's apply may go on
		return out, err
	}
	at := c.Dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace())
	made, err := at.Create(ctx, o, metav1.CreateOptions{FieldManager: testManager, FieldValidation: metav1.FieldValidationStrict})
	created := err == nil
	if apierrors.IsAlreadyExists(err) {
		made, err = at.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: testManager, Force: c.Near})
	}
	if err != nil {
		return out, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
	}
	out = verdict.Object{Mapping: mapping, Namespace: made.GetNamespace(), Name: made.GetName()}
	c.applied = append(c.applied, out)
	if created {
		c.created = append(c.created, creation{out, made.GetUID()})
	}
	return out, nil
}

// testManager is what the API calls the run in metadata.managedFields.
const testManager = "kube-lite-test"

// mapping finds the resource of an object's kind, which may have been defined a moment ago.
func (c *cluster) mapping(ctx context.Context, o *unstructured.Unstructured) (*meta.RESTMapping, error) {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) && ctx.Err() == nil {
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", gvk.Kind, o.GetName(), err)
	}
	return mapping, nil
}

// goneEvery is how often it is looked whether a deleted object is gone.
const goneEvery = 500 * time.Millisecond

// remove deletes what the run created, the last first, and waits until it is gone. An object of the same name that somebody
// else has made meanwhile stays.
func (c *cluster) remove(ctx context.Context) error {
	var errs []error
	background := metav1.DeletePropagationBackground
	for _, o := range slices.Backward(c.created) {
		err := c.at(o).Delete(ctx, o.Name, metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &o.uid}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("delete %s: %w", o.Object, err))
		}
	}
	for _, o := range c.created {
		if len(errs) > 0 {
			break
		}
		err := wait.PollUntilContextCancel(ctx, goneEvery, true, func(ctx context.Context) (bool, error) {
			now, err := c.at(o).Get(ctx, o.Name, metav1.GetOptions{})
			return apierrors.IsNotFound(err) || err == nil && now.GetUID() != o.uid, nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s is deleted but not gone", o.Object))
		}
	}
	return errors.Join(errs...)
}

func (c *cluster) at(o creation) dynamic.ResourceInterface {
	return c.Dynamic.Resource(o.Mapping.Resource).Namespace(o.Namespace)
}
