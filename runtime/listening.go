package runtime

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/prometheus/procfs"
	v1 "k8s.io/api/core/v1"
)

// registerLookups serves what no kubelet does, for those who look for the cause of trouble:
//
//	GET /listening/{namespace}/{pod}  the sockets at which the Pod's programs take connections and packets, as JSON
//	GET /images                       the images that a Pod could run at once, as a Node's status has them, all of them
func (a *Agent) registerLookups(mux *http.ServeMux) {
	mux.HandleFunc("GET /listening/{namespace}/{pod}", a.serveListening)
	mux.HandleFunc("GET /images", a.serveImages)
}

// listener is a socket that waits for what comes from the network.
type listener struct {
	Protocol v1.Protocol `json:"protocol"`
	// Address is unspecified (0.0.0.0 or ::) when every address of the Pod will do.
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
}

// serveListening has nothing to say of a Pod in the host's network: most sockets there are others'.
func (a *Agent) serveListening(w http.ResponseWriter, r *http.Request) {
	pod, err := a.pods.Pods(r.PathValue("namespace")).Get(r.PathValue("pod"))
	switch {
	case err != nil:
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return
	case pod.Spec.HostNetwork:
		http.Error(w, "the pod is in the network of the host", http.StatusNotFound)
		return
	}
	sandbox := pods.RunningSandbox(a.mirror.Pod(pod.UID))
	if sandbox.PID == 0 {
		http.Error(w, "the pod has no sandbox", http.StatusNotFound)
		return
	}
	found, err := listeners(filepath.Join(cmp.Or(a.cgroups.Proc, procfs.DefaultMountPoint), strconv.Itoa(sandbox.PID)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, found)
}

func (a *Agent) serveImages(w http.ResponseWriter, r *http.Request) {
	images, err := a.engine.Images(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out := []v1.ContainerImage{}
	for _, i := range images {
		if names := slices.Concat(i.Tags, i.Digests); len(names) > 0 {
			out = append(out, v1.ContainerImage{Names: names, SizeBytes: i.Size})
		}
	}
	slices.SortFunc(out, func(a, b v1.ContainerImage) int {
		return cmp.Or(cmp.Compare(b.SizeBytes, a.SizeBytes), slices.Compare(a.Names, b.Names))
	})
	writeJSON(w, out)
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the client is gone if it fails
}

// The kernel's numbers for the state of a socket: tcp_states.h.
const (
	socketListens     = 0x0A // TCP_LISTEN
	socketUnconnected = 0x07 // TCP_CLOSE, which is what a UDP socket without a peer has
)

// listeners reads the sockets of a process's network namespace.
func listeners(process string) ([]listener, error) {
	proc, err := procfs.NewFS(process)
	if err != nil {
		return nil, err
	}
	out := []listener{}
	for _, family := range []func() (procfs.NetTCP, error){proc.NetTCP, proc.NetTCP6} {
		lines, err := family()
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
			return nil, err
		}
		for _, l := range lines {
			if l.St == socketListens {
				out = addListener(out, v1.ProtocolTCP, l.LocalAddr, l.LocalPort)
			}
		}
	}
	for _, family := range []func() (procfs.NetUDP, error){proc.NetUDP, proc.NetUDP6} {
		lines, err := family()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, l := range lines {
			if l.St == socketUnconnected {
				out = addListener(out, v1.ProtocolUDP, l.LocalAddr, l.LocalPort)
			}
		}
	}
	return out, nil
}

// addListener adds a socket once, however many processes share its port.
func addListener(to []listener, protocol v1.Protocol, ip []byte, port uint64) []listener {
	address, ok := netip.AddrFromSlice(ip)
	one := listener{protocol, address.Unmap(), uint16(port)}
	if !ok || slices.Contains(to, one) {
		return to
	}
	return append(to, one)
}
