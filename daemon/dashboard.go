package daemon

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/dashboard"
	"github.com/kube-lite/kube-lite/router"
	"github.com/kube-lite/kube-lite/runtime/prune"
)

// newDashboard makes the room of the page, with its logins beside the API.
func (d *daemon) newDashboard() *dashboard.Room {
	room := dashboard.New(dashboard.Options{Connect: d.server.Connect, About: d.about, Log: d.cfg.Log})
	d.server.Handle(apiserver.DashboardPath, room.Handler())
	return room
}

// about is what the page says of the instance.
func (d *daemon) about(ctx context.Context) (dashboard.About, error) {
	about := dashboard.About{Instance: d.cfg.Name, Version: d.cfg.Version}
	for _, node := range d.nodes.all() {
		about.Nodes = append(about.Nodes, node.Name)
	}
	ports, err := router.Served(ctx, d.server.Client())
	about.HTTPPort, about.HTTPSPort = int(ports.HTTP), int(ports.HTTPS)
	return about, err
}

// prunePath is where the node's HTTP API removes what nobody needs.
const prunePath = "prune"

// pruned is one thing that was removed, or would be.
type pruned struct {
	Kind  string `json:"kind"` // container, directory or image
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// pruneHandler serves a part of the node's HTTP API: GET tells what `kube-lite prune` would remove, POST removes it. With the query
// images=true images are among it. RBAC calls it get and create of nodes/proxy.
func (d *daemon) pruneHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodPost {
			http.Error(w, "GET tells what would be removed, POST removes it", http.StatusMethodNotAllowed)
			return
		}
		images, _ := strconv.ParseBool(req.URL.Query().Get("images")) // not given: no
		removed, err := prune.Run(req.Context(), d.engine, d.server.Client(), prune.Options{
			Instance: d.cfg.Name, Root: d.cfg.DataDir, Images: images, DryRun: req.Method == http.MethodGet,
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		all := []pruned{}
		for _, i := range removed {
			all = append(all, pruned{i.Kind, i.Name, i.Bytes})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all) // the client is gone if it fails
	})
}
