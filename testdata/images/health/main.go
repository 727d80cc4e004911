// Command health is a server that probes are aimed at, in the image kube-lite-test/health. It answers the gRPC health
// protocol on port 9000 and HTTPS, with a certificate that nobody knows, on port 8443, and does not heed SIGTERM.
//
//	health                        serve; gRPC knows the services "" and "app"
//	health set [SERVICE] STATUS   in the container: give a service of the server that runs another status
//
// GET /probe over HTTPS is well only if it is sent with the headers Host: web.example and X-Probe: yes.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	run := serve
	if len(os.Args) > 2 && os.Args[1] == "set" {
		run = func() error { return set(os.Args[2:]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func serve() error {
	signal.Ignore(syscall.SIGTERM)
	states := health.NewServer()
	states.SetServingStatus("app", grpc_health_v1.HealthCheckResponse_SERVING)
	listener, err := net.Listen("tcp", ":9000")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, states)
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(listener) }()
	go func() { ended <- serveHTTPS(states) }()
	return <-ended
}

func serveHTTPS(states *health.Server) error {
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /probe", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "web.example" || r.Header.Get("X-Probe") != "yes" {
			http.Error(w, "not for you", http.StatusTeapot)
		}
	})
	mux.HandleFunc("POST /set", func(w http.ResponseWriter, r *http.Request) {
		status := grpc_health_v1.HealthCheckResponse_ServingStatus_value[r.FormValue("status")]
		states.SetServingStatus(r.FormValue("service"), grpc_health_v1.HealthCheckResponse_ServingStatus(status))
	})
	server := &http.Server{Addr: ":8443", Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	return server.ListenAndServeTLS("", "")
}

// selfSigned makes a certificate for a name that nobody asks for.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"nobody.example"}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// set tells the server; the first argument is the service if there are two.
func set(args []string) error {
	form := url.Values{"status": args[len(args)-1:], "service": {""}}
	if len(args) > 1 {
		form.Set("service", args[0])
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 5 * time.Second}
	answer, err := client.PostForm("https://localhost:8443/set", form)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the server said %s", answer.Status)
	}
	return nil
}
