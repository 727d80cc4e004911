package runtime

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// What the kernel shows of a web server on all addresses, a debugger on localhost, a connection to the former, and a
// DNS server beside a client of another one.
var sockets = map[string]string{
	"tcp": `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0000000000000000 100 0 0 10 0
   1: 0200F40A:1F90 0100F40A:9C40 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0000000000000000 20 4 30 10 -1
`,
	"tcp6": `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 103 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 104 1 0000000000000000 100 0 0 10 0
`,
	"udp": `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
    0: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 105 2 0000000000000000 0
    1: 0200F40A:D431 0100F40A:0035 01 00000000:00000000 00:00000000 00000000     0        0 106 2 0000000000000000 0
`,
}

func TestListeningNamesTheSocketsOfAPod(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		pod := r.pod("web", nil)
		r.pod("host", func(p *v1.Pod) { p.Spec.HostNetwork = true })
		sandbox := pods.RunningSandbox(r.agent.mirror.Pod(pod.UID))
		writeSockets(t, filepath.Join(r.groups.Proc, strconv.Itoa(sandbox.PID)))
		want := `[{"protocol":"TCP","address":"127.0.0.1","port":5000},{"protocol":"TCP","address":"::","port":8080},{"protocol":"UDP","address":"0.0.0.0","port":53}]`
		if got := strings.TrimSpace(r.ask("/listening/ns/web").Body.String()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		for _, other := range []string{"host", "nobody"} {
			w := httptest.NewRecorder()
			r.agent.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/listening/ns/"+other, nil))
			if w.Code != http.StatusNotFound {
				t.Errorf("%s: %d %s", other, w.Code, w.Body)
			}
		}
	})
}

func writeSockets(t *testing.T, process string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(process, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range sockets { // no udp6: a kernel may have no IPv6
		if err := os.WriteFile(filepath.Join(process, "net", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImagesNamesThoseOnTheMachine(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		if got := r.ask("/images").Body.String(); !strings.Contains(got, `"app:1"`) {
			t.Errorf("app:1 is not in %s", got)
		}
	})
}
