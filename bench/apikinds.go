package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

const (
	kindGroup = "bench.example.com"
	// kindSamples is how many kinds are defined one after the other; their median counts.
	kindSamples = 5
	// kindLook is the pause between two tries to use a kind that is not there yet.
	kindLook      = 2 * time.Millisecond
	thousandKinds = 1000
)

// newKinds is the median of some newKind.
func (l *apiLoad) newKinds(ctx context.Context) (float64, error) {
	var took []float64
	for n := range kindSamples {
		ms, err := l.newKind(ctx, fmt.Sprintf("sample%d", n))
		if err != nil {
			return 0, err
		}
		took = append(took, ms)
	}
	return median(took), nil
}

// newKind is how long it takes from the definition of a kind until an object of it exists, in ms.
func (l *apiLoad) newKind(ctx context.Context, name string) (ms float64, err error) {
	began := time.Now()
	if err := l.define(ctx, name); err != nil {
		return 0, err
	}
	err = l.useKind(ctx, name)
	return float64(time.Since(began).Microseconds()) / 1000, err
}

// define creates a CustomResourceDefinition of a modest schema: some fields, a list, a rule and a status.
func (l *apiLoad) define(ctx context.Context, name string) error {
	body, err := json.Marshal(definition(name))
	if err != nil {
		return err
	}
	_, err = asJSON(l.rest.Post()).AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").Body(body).DoRaw(ctx)
	return err
}

// useKind creates an object of a kind as soon as that is possible.
func (l *apiLoad) useKind(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body := fmt.Appendf(nil, `{"apiVersion":"%s/v1","kind":"%s","metadata":{"name":"first"},"spec":{"size":3,"parts":["a","b"]}}`, kindGroup, kindOf(name))
	for {
		_, err := asJSON(l.rest.Post()).AbsPath("/apis", kindGroup, "v1", "namespaces", apiNamespace, name+"s").
			MaxRetries(0).Body(body).DoRaw(ctx)
		if err == nil || !apierrors.IsNotFound(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsTooManyRequests(err) {
			return err
		}
		if e := sleep(ctx, kindLook); e != nil {
			return fmt.Errorf("%s cannot be used: %w", name, err)
		}
	}
}

func asJSON(r *rest.Request) *rest.Request {
	return r.SetHeader("Content-Type", runtime.ContentTypeJSON).SetHeader("Accept", runtime.ContentTypeJSON)
}

func kindOf(name string) string { return "Bench" + name }

func definition(name string) *apiextensionsv1.CustomResourceDefinition {
	text, number := apiextensionsv1.JSONSchemaProps{Type: "string"}, apiextensionsv1.JSONSchemaProps{Type: "integer"}
	object := func(properties map[string]apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
		return apiextensionsv1.JSONSchemaProps{Type: "object", Properties: properties}
	}
	spec := object(map[string]apiextensionsv1.JSONSchemaProps{
		"size": number, "title": text, "image": text, "owner": text,
		"parts": {Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &text}},
	})
	spec.XValidations = apiextensionsv1.ValidationRules{{Rule: "self.size > 0", Message: "size must be positive"}}
	schema := object(map[string]apiextensionsv1.JSONSchemaProps{
		"spec": spec, "status": object(map[string]apiextensionsv1.JSONSchemaProps{"ready": number, "message": text}),
	})
	return &apiextensionsv1.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiextensionsv1.SchemeGroupVersion.String(), Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: name + "s." + kindGroup},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: kindGroup, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: name + "s", Singular: name, Kind: kindOf(name), ListKind: kindOf(name) + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema:       &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &schema},
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			}},
		},
	}
}

// measureFirstKind is newKind in instances without a kind, which have no server for them yet.
func measureFirstKind(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	for round := 1; round <= b.rounds; round++ {
		if err := b.with(ctx, func(i *instance) error {
			load, err := i.load(ctx)
			if err != nil {
				return err
			}
			defer load.close()
			ms, err := load.newKind(ctx, "first")
			samples = append(samples, ms)
			b.say(round, b.rounds, "%.0f ms", ms)
			return err
		}); err != nil {
			return nil, "", err
		}
	}
	return samples, "", nil
}

// measureKindReady is newKind without a yardstick, beside kinds that are there.
func measureKindReady(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.with(ctx, func(i *instance) error {
		load, err := i.load(ctx)
		if err != nil {
			return err
		}
		defer load.close()
		if _, err := load.newKind(ctx, "first"); err != nil {
			return err
		}
		for round := 1; round <= b.rounds; round++ {
			ms, err := load.newKind(ctx, fmt.Sprintf("ready%d", round))
			if err != nil {
				return err
			}
			samples = append(samples, ms)
			b.say(round, b.rounds, "%.0f ms", ms)
		}
		return nil
	})
	return samples, "", err
}

// measureKinds is the private memory that a thousand kinds take, of which two have an object.
func measureKinds(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	var one []float64
	for round := 1; round <= b.rounds; round++ {
		if err := b.with(ctx, func(i *instance) error {
			first, all, err := i.kindsMemory(ctx)
			one, samples = append(one, first), append(samples, all)
			b.say(round, b.rounds, "one %.1f MB, a thousand %.0f MB", first, all)
			return err
		}); err != nil {
			return nil, "", err
		}
	}
	return samples, fmt.Sprintf("of these the first one takes %.1f MB", median(one)), nil
}

// kindsMemory is by how many MB the daemon grows for one kind, and for all of them.
func (i *instance) kindsMemory(ctx context.Context) (one, all float64, err error) {
	load, err := i.load(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer load.close()
	before, err := restingMemory(ctx, i)
	if err != nil {
		return 0, 0, err
	}
	if err := load.defineKinds(ctx, 0, 1); err != nil {
		return 0, 0, err
	}
	first, err := restingMemory(ctx, i)
	if err != nil {
		return 0, 0, err
	}
	if err := load.defineKinds(ctx, 1, thousandKinds); err != nil {
		return 0, 0, err
	}
	last, err := restingMemory(ctx, i)
	return first.measured - before.measured, last.measured - before.measured, err
}

// defineKinds returns when the last one can be used.
func (l *apiLoad) defineKinds(ctx context.Context, from, to int) error {
	for n := from; n < to; n++ {
		if err := l.define(ctx, fmt.Sprintf("kind%d", n)); err != nil {
			return err
		}
	}
	return l.useKind(ctx, fmt.Sprintf("kind%d", to-1))
}
