package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"k8s.io/client-go/rest"
)

// As a browser does it.
func TestLogsOverAWebSocket(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "browser")
	ns.must(t, "run", "talks", "--image=gihyodocker/fundamental:0.1.0", "--image-pull-policy=IfNotPresent", "--restart=Never", "--", "sh", "-c", "echo short")
	ns.waitForValue(t, "pod/talks", "{.status.phase}", "Succeeded")

	config := cluster.config(t)
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dialer := websocket.Dialer{TLSClientConfig: tls, Subprotocols: []string{"binary.k8s.io"}}
	url := fmt.Sprintf("%s/api/v1/namespaces/%s/pods/talks/log", strings.Replace(config.Host, "https", "wss", 1), ns.name)
	conn, _, err := dialer.DialContext(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	log := ""
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			break
		}
		log += string(message)
	}
	if log != "short\n" {
		t.Errorf("the log is %q", log)
	}
}
