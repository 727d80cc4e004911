package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/kube-lite/kube-lite/manifest"
)

// fieldManager is who sets fields that are edited on the page.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
const fieldManager = "kube-lite-dashboard"

// The modes of an edit.
const (
	modeApply   = "apply"   // server-side apply
	modeReplace = "replace" // what is left out goes
	modeCreate  = "create"
)

// edit is a text that shall become an object.
type edit struct {
	YAML      string `json:"yaml"`
	Mode      string `json:"mode"`
	DryRun    bool   `json:"dryRun"`
	Force     bool   `json:"force"`     // with modeApply: take the fields of other managers over
	Namespace string `json:"namespace"` // of an object that names none
}

// edited is what came of it, or would.
type edited struct {
	Path   string `json:"path"`
	Before string `json:"before"` // YAML; empty if the object is new
	YAML   string `json:"yaml"`
}

// refusal says what is wrong with a text.
type refusal struct {
	Message   string     `json:"message"`
	Problems  []problem  `json:"problems"`
	Conflicts []conflict `json:"conflicts"`
}

// problem is at a place of the text; Line 0 is the whole.
type problem struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// conflict is a field that another manager has set.
type conflict struct {
	Manager string `json:"manager"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

func serveObject(w http.ResponseWriter, req *http.Request, s *session) {
	p, err := placeOf(req.URL.Query().Get("path"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	objects, err := dynamic.NewForConfig(s.config)
	if err != nil {
		failAs(w, err)
		return
	}
	o, err := objects.Resource(p.resource).Namespace(p.namespace).Get(req.Context(), p.name, metav1.GetOptions{})
	if err != nil {
		failAs(w, err)
		return
	}
	text, err := textOf(o)
	if err != nil {
		failAs(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"yaml": text})
}

// textOf leaves out what nobody reads: who set which field, and the count of changes.
func textOf(o *unstructured.Unstructured) (string, error) {
	o = o.DeepCopy()
	o.SetManagedFields(nil)
	unstructured.RemoveNestedField(o.Object, "metadata", "generation")
	text, err := yaml.Marshal(o.Object)
	return string(text), err
}

var scheme = sync.OnceValue(manifest.Scheme)

func serveEdit(w http.ResponseWriter, req *http.Request, s *session) {
	var e edit
	if !readBody(w, req, &e) {
		return
	}
	if e.Mode != modeApply && e.Mode != modeReplace && e.Mode != modeCreate {
		fail(w, http.StatusBadRequest, fmt.Sprintf("mode %q: use %s, %s or %s", e.Mode, modeApply, modeReplace, modeCreate))
		return
	}
	doc, problems := e.parse()
	if len(problems) > 0 {
		answer(w, http.StatusUnprocessableEntity, refusal{"the text is no manifest of one object", problems, []conflict{}})
		return
	}
	done, err := s.edit(req.Context(), e, doc)
	if err == nil {
		answer(w, http.StatusOK, done)
		return
	}
	switch code := statusOf(err).Code; {
	case code == http.StatusForbidden || code == http.StatusUnauthorized || code >= http.StatusInternalServerError:
		failAs(w, err)
	default:
		answer(w, http.StatusUnprocessableEntity, explain(err, doc))
	}
}

// parse reads the one object of the text, and holds it against the types of the API.
func (e edit) parse() (doc manifest.Document, problems []problem) {
	docs, found := manifest.Parse("", []byte(e.YAML))
	if len(found) == 0 {
		switch len(docs) {
		case 0:
			return doc, []problem{{Message: "there is nothing in it"}}
		case 1:
			doc = docs[0]
			found = manifest.Check(docs, manifest.Rules{Scheme: scheme(), GenerateName: e.Mode == modeCreate})
		default:
			return doc, []problem{{Line: docs[1].Line, Column: 1, Message: "a second object: edit one at a time"}}
		}
	}
	for _, p := range found {
		if !p.Warning {
			problems = append(problems, problemOf(p))
		}
	}
	return doc, problems
}

func problemOf(p manifest.Problem) problem {
	message := p.Message
	if p.Path != "" {
		message = p.Path + ": " + message
	}
	if p.Suggestion != "" {
		message += fmt.Sprintf(" (did you mean %q?)", p.Suggestion)
	}
	return problem{p.Line, p.Column, message}
}

// edit sends the object, and returns what it was and is.
func (s *session) edit(ctx context.Context, e edit, doc manifest.Document) (done edited, err error) {
	o := &unstructured.Unstructured{}
	text, err := yaml.YAMLToJSON([]byte(e.YAML))
	if err != nil {
		return done, apierrors.NewBadRequest(err.Error())
	}
	if err := json.Unmarshal(text, &o.Object); err != nil {
		return done, apierrors.NewBadRequest(err.Error())
	}
	o.SetManagedFields(nil) // the server keeps them
	kind := o.GroupVersionKind()
	mapper, err := s.kinds.of(s)
	if err != nil {
		return done, err
	}
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return done, apierrors.NewBadRequest(fmt.Sprintf("the API has no kind %s in %s", doc.Kind, doc.APIVersion))
	}
	namespace := ""
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if namespace = o.GetNamespace(); namespace == "" {
			namespace = e.Namespace
		}
	}
	objects, err := dynamic.NewForConfig(s.config)
	if err != nil {
		return done, err
	}
	resource := objects.Resource(mapping.Resource).Namespace(namespace)
	if e.Mode != modeCreate {
		before, err := resource.Get(ctx, o.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err): // apply makes it
		case err != nil:
			return done, err
		default:
			if done.Before, err = textOf(before); err != nil {
				return done, err
			}
			if e.Mode == modeApply {
				if o, err = s.applied(before, o); err != nil {
					return done, err
				}
			}
		}
	}
	after, err := send(ctx, resource, o, e)
	if err != nil {
		return done, err
	}
	done.Path = place{mapping.Resource, namespace, after.GetName()}.String()
	done.YAML, err = textOf(after)
	return done, err
}

func send(ctx context.Context, to dynamic.ResourceInterface, o *unstructured.Unstructured, e edit) (*unstructured.Unstructured, error) {
	var dryRun []string
	if e.DryRun {
		dryRun = []string{metav1.DryRunAll}
	}
	switch e.Mode {
	case modeReplace:
		return to.Update(ctx, o, metav1.UpdateOptions{DryRun: dryRun, FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
	case modeCreate:
		return to.Create(ctx, o, metav1.CreateOptions{DryRun: dryRun, FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
	}
	text, err := json.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	return to.Patch(ctx, o.GetName(), types.ApplyPatchType, text, metav1.PatchOptions{
		DryRun: dryRun, Force: &e.Force, FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict,
	})
}

var (
	managerInCause = regexp.MustCompile(`conflict with "([^"]*)"`)
	strictField    = regexp.MustCompile(`(unknown|duplicate) field "([^"]*)"`)
)

// explain leads what the API said of an object back to the lines of its text.
func explain(err error, doc manifest.Document) refusal {
	status := statusOf(err)
	out := refusal{status.Message, []problem{}, []conflict{}}
	var causes []metav1.StatusCause
	if status.Details != nil {
		causes = status.Details.Causes
	}
	for _, c := range causes {
		if c.Type == metav1.CauseTypeFieldManagerConflict {
			found := conflict{Field: c.Field, Message: c.Message}
			if m := managerInCause.FindStringSubmatch(c.Message); m != nil {
				found.Manager = m[1]
			}
			out.Conflicts = append(out.Conflicts, found)
			continue
		}
		out.Problems = append(out.Problems, problemOf(doc.At(strings.TrimPrefix(c.Field, "."), c.Message)))
	}
	if len(causes) == 0 {
		for _, m := range strictField.FindAllStringSubmatch(status.Message, -1) {
			out.Problems = append(out.Problems, problemOf(doc.At(m[2], m[1]+" field")))
		}
	}
	if len(out.Problems) == 0 && len(out.Conflicts) == 0 {
		message := status.Message
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			message = failed.Err.Error()
		}
		out.Problems = append(out.Problems, problem{Message: message})
	}
	return out
}
