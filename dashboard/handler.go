package dashboard

import (
	"encoding/json"
	"net/http"

	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// LoginRequest asks for a link.
type LoginRequest struct {
	Port    uint16 `json:"port,omitempty"` // of the page, if it is not served yet; 0: any
	Program string `json:"program"`        // how the user calls the command, for what the page tells to type
}

// Login is a link that is good once, for a minute.
type Login struct {
	URL string `json:"url"`
}

// Handler serves logins, behind the API server's authentication: POST of a LoginRequest returns a Login, of the user whose request
// it is.
func (r *Room) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		u, known := genericapirequest.UserFrom(req.Context())
		var request LoginRequest
		switch {
		case req.Method != http.MethodPost:
			writeStatus(w, http.StatusMethodNotAllowed, "only POST makes a login")
			return
		case !known:
			writeStatus(w, http.StatusUnauthorized, "nobody knows whose page it would be")
			return
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxBody)).Decode(&request); err != nil {
			writeStatus(w, http.StatusBadRequest, "the request cannot be read: "+err.Error())
			return
		}
		link, err := r.login(u, request)
		if err != nil {
			writeStatus(w, http.StatusConflict, err.Error())
			return
		}
		answer(w, http.StatusOK, Login{link})
	})
}

// routes are the page and what it asks for.
func (r *Room) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", servePage)
	mux.Handle("GET /assets/", serveAssets())
	mux.HandleFunc("POST /login", r.serveLogin)
	mux.HandleFunc("GET /session", r.inSession(r.serveSession))
	mux.HandleFunc("DELETE /session", r.serveLogout)
	mux.HandleFunc(apiPrefix+"/", r.inSession(serveAPI))
	mux.HandleFunc("GET /streams", r.inSession(serveStreams))
	mux.HandleFunc("GET /why", r.inSession(serveWhy))
	mux.HandleFunc("GET /objects", r.inSession(serveObject))
	mux.HandleFunc("POST /objects", r.inSession(serveEdit))
	mux.HandleFunc("GET /forwards", r.inSession(serveForwards))
	mux.HandleFunc("POST /forwards", r.inSession(serveForward))
	mux.HandleFunc("DELETE /forwards/{id}", r.inSession(serveForwardEnd))
	return mux
}

// maxBody bounds what the page sends of its own; the API server bounds what it is sent.
const maxBody = 4 << 20

// readBody decodes a request of the page's own. It has answered if it returns false.
func readBody(w http.ResponseWriter, req *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxBody)).Decode(into); err != nil {
		fail(w, http.StatusBadRequest, "the request cannot be read: "+err.Error())
		return false
	}
	return true
}

func (r *Room) serveLogin(w http.ResponseWriter, req *http.Request) {
	var body struct {
		Code string `json:"code"`
	}
	if !readBody(w, req, &body) {
		return
	}
	token, err := r.enter(body.Code)
	switch {
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
	case token == "":
		fail(w, http.StatusUnauthorized, "this link was used, or is older than a minute")
	default:
		answer(w, http.StatusOK, map[string]string{"token": token})
	}
}

func (r *Room) serveSession(w http.ResponseWriter, req *http.Request, s *session) {
	about, err := r.opts.About(req.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, http.StatusOK, struct {
		User    string   `json:"user"`
		Groups  []string `json:"groups"`
		Program string   `json:"program"`
		About
	}{s.user.GetName(), s.user.GetGroups(), s.program, about})
}

func (r *Room) serveLogout(w http.ResponseWriter, req *http.Request) {
	key := digestOf(tokenOf(req))
	answer(w, http.StatusOK, struct{}{})
	_ = http.NewResponseController(w).Flush() // the end of the last session is the server's
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(key)
}
