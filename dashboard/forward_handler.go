package dashboard

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	pods     = schema.GroupResource{Resource: "pods"}
	services = schema.GroupResource{Resource: "services"}
)

func notNow(to forward, what string) error {
	return apierrors.NewConflict(services, to.Name, fmt.Errorf("service %s %s", to.Name, what))
}

func serveForwards(w http.ResponseWriter, _ *http.Request, s *session) {
	answer(w, http.StatusOK, s.forwards.list())
}

func serveForward(w http.ResponseWriter, req *http.Request, s *session) {
	var want forward
	if !readBody(w, req, &want) {
		return
	}
	if want.Kind != "pod" && want.Kind != "service" || want.Namespace == "" || want.Name == "" || want.Port < 1 || want.Port > 65535 {
		fail(w, http.StatusBadRequest, "a forward has a kind (pod or service), a namespace, a name and a port")
		return
	}
	made, err := s.forwards.start(req.Context(), want)
	if err != nil {
		failAs(w, err)
		return
	}
	answer(w, http.StatusOK, made)
}

func serveForwardEnd(w http.ResponseWriter, req *http.Request, s *session) {
	if !s.forwards.end(req.PathValue("id")) {
		fail(w, http.StatusNotFound, "there is no such forward")
		return
	}
	answer(w, http.StatusOK, struct{}{})
}
