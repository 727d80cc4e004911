package dashboard

import (
	"fmt"
	"net/http"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kube-lite/kube-lite/why"
)

// serveWhy answers with the why.Chain of the object at ?path=.
func serveWhy(w http.ResponseWriter, req *http.Request, s *session) {
	p, err := placeOf(req.URL.Query().Get("path"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	explainer, err := s.explainer()
	if err != nil {
		failAs(w, err)
		return
	}
	mapping, err := s.mapping(p.resource)
	if err != nil {
		fail(w, http.StatusNotFound, err.Error())
		return
	}
	chain, err := explainer.Why(req.Context(), mapping, p.namespace, p.name)
	if err != nil {
		failAs(w, err)
		return
	}
	answer(w, http.StatusOK, chain)
}

// explainer asks as the session's user. The commands that it tells are those of a terminal beside the page.
func (s *session) explainer() (*why.Explainer, error) {
	client, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	objects, err := dynamic.NewForConfig(s.config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return why.New(client, objects, why.Options{Program: s.program}), nil
}
