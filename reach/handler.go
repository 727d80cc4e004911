package reach

import (
	"encoding/json"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Path is where the node's HTTP API has ways.
const Path = "reach"

// Handler serves a part of the node's HTTP API, which clients reach through the API server's proxy to the node:
//
//	GET /reach/{namespace}/{service}  the Way to a Service, as JSON
//
// It asks for no credentials, because the API server has: RBAC calls it get of nodes/proxy.
func (r *Room) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+Path+"/{namespace}/{service}", r.serve)
	return mux
}

func (r *Room) serve(w http.ResponseWriter, req *http.Request) {
	way, err := r.Look(req.Context(), req.PathValue("namespace"), req.PathValue("service"))
	switch {
	case apierrors.IsNotFound(err):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(way) // the client is gone if it fails
	}
}
