// Command echo is the web server of the test images gihyodocker/echo: it answers every request on port 8080 with
// "Hello Docker!!" and logs "start server" once and "received request" per request. $ECHO_VERSION, which the image's
// tag sets, comes back in the Echo-Version header, so that a client can watch a rollout.
//
// On SIGTERM it goes on accepting for a moment, because the Service sends connections until its rules are updated, and
// then ends when what it accepted is answered. That is what a pod needs for a rollout without a failed request.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// linger is longer than nginx's in the same pod, which still has requests for this server.
	linger = 1500 * time.Millisecond
	// finish bounds the answers in flight; the pod's grace period is 30 s by default.
	finish = 10 * time.Second
)

func main() {
	log.SetOutput(os.Stdout)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	server := &http.Server{Addr: ":8080", Handler: http.HandlerFunc(answer)}
	ended := make(chan error, 1)
	log.Println("start server")
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		log.Fatal(err)
	case <-ctx.Done():
	}
	time.Sleep(linger)
	late, cancel := context.WithTimeout(context.Background(), finish)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		log.Fatal(err)
	}
	log.Println("stop server")
}

// answer takes ?delay=500ms to be slow on purpose.
func answer(w http.ResponseWriter, r *http.Request) {
	log.Println("received request")
	if delay, err := time.ParseDuration(r.FormValue("delay")); err == nil {
		time.Sleep(delay)
	}
	hostname, _ := os.Hostname()
	w.Header().Set("Echo-Version", os.Getenv("ECHO_VERSION"))
	w.Header().Set("Echo-Hostname", hostname)
	fmt.Fprint(w, "Hello Docker!!")
}
