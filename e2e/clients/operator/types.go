package main

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
)

const group = "operator.example.com"

// Memo is what the operator copies, in the version v1, which is stored.
type Memo struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec struct {
		Text string `json:"text"`
	} `json:"spec"`
	Status struct {
		Copied string `json:"copied,omitempty"` // the text that the ConfigMap has
	} `json:"status,omitempty"`
}

// Hub says that the other versions are converted to this one.
func (*Memo) Hub() {}

// DeepCopyObject returns a copy.
func (m *Memo) DeepCopyObject() runtime.Object {
	out := *m
	out.ObjectMeta = *m.ObjectMeta.DeepCopy()
	return &out
}

// MemoList is what a list answers.
type MemoList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Memo `json:"items"`
}

// DeepCopyObject returns a copy.
func (l *MemoList) DeepCopyObject() runtime.Object {
	out := MemoList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopyObject().(*Memo))
	}
	return &out
}

// EarlyMemo is a Memo in the version v1alpha1, whose text had another name.
type EarlyMemo struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Message string `json:"message"`
	Copied  string `json:"copied,omitempty"`
}

// DeepCopyObject returns a copy.
func (m *EarlyMemo) DeepCopyObject() runtime.Object {
	out := *m
	out.ObjectMeta = *m.ObjectMeta.DeepCopy()
	return &out
}

// ConvertTo turns it into the stored version.
func (m *EarlyMemo) ConvertTo(hub conversion.Hub) error {
	out, ok := hub.(*Memo)
	if !ok {
		return fmt.Errorf("a %T is no Memo", hub)
	}
	out.ObjectMeta, out.Spec.Text, out.Status.Copied = m.ObjectMeta, m.Message, m.Copied
	return nil
}

// ConvertFrom makes it of the stored version.
func (m *EarlyMemo) ConvertFrom(hub conversion.Hub) error {
	in, ok := hub.(*Memo)
	if !ok {
		return fmt.Errorf("a %T is no Memo", hub)
	}
	m.ObjectMeta, m.Message, m.Copied = in.ObjectMeta, in.Spec.Text, in.Status.Copied
	return nil
}

// addTypes makes the versions known.
func addTypes(scheme *runtime.Scheme) {
	v1, v1alpha1 := schema.GroupVersion{Group: group, Version: "v1"}, schema.GroupVersion{Group: group, Version: "v1alpha1"}
	scheme.AddKnownTypes(v1, &Memo{}, &MemoList{})
	scheme.AddKnownTypeWithName(v1alpha1.WithKind("Memo"), &EarlyMemo{})
	metav1.AddToGroupVersion(scheme, v1)
	metav1.AddToGroupVersion(scheme, v1alpha1)
}
