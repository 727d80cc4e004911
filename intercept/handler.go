package intercept

import (
	"encoding/json"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Path is where the node's HTTP API has intercepts.
const Path = "intercepts"

// Handler serves a part of the node's HTTP API, which clients reach through the API server's proxy to the node:
//
//	GET /intercepts                        those in force, as JSON
//	POST /intercepts/{namespace}/{service} makes one (query: port, to, header), which lasts as long as the request; its
//	                                       answer is an Event a line, or a metav1.Status that says what is wrong
//
// It asks for no credentials, because the API server has: RBAC calls it get and create of nodes/proxy.
func (r *Room) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+Path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.List()) // the client is gone if it fails
	})
	mux.HandleFunc("POST /"+Path+"/{namespace}/{service}", r.serve)
	return mux
}

func (r *Room) serve(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	request := Request{
		Namespace: req.PathValue("namespace"), Service: req.PathValue("service"),
		Port: query.Get("port"), To: query.Get("to"), Headers: query["header"],
	}
	begun := false
	err := r.Intercept(req.Context(), request, func(e Event) error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/json")
		}
		if err := json.NewEncoder(w).Encode(e); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	})
	if err != nil && !begun {
		writeStatus(w, err)
	}
}

// writeStatus answers with an error in the API's form, which the API server's proxy leaves as it is.
func writeStatus(w http.ResponseWriter, err error) {
	status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}
	if said := apierrors.APIStatus(nil); errors.As(err, &said) {
		status = said.Status()
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	_ = json.NewEncoder(w).Encode(status) // the client is gone if it fails
}
