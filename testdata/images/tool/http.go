package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// requestTimeout bounds one request: longer than any honest answer here, short enough for a test to see a black hole.
const requestTimeout = 5 * time.Second

func httpServe(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	text, err := textOrHostname(args[1:])
	if err != nil {
		return err
	}
	log.SetOutput(os.Stdout)
	server := &http.Server{Addr: args[0], Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		log.Printf("%s %s from %s", r.Method, r.URL, client)
		fmt.Fprintln(w, text)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-terminated():
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		return server.Shutdown(ctx)
	}
}

func textOrHostname(args []string) (string, error) {
	if len(args) > 0 {
		return strings.Join(args, " "), nil
	}
	return os.Hostname()
}

func httpGet(args []string) error {
	flags := flag.NewFlagSet("http-get", flag.ContinueOnError)
	count := flags.Int("n", 1, "requests per URL")
	if flags.Parse(args) != nil || flags.NArg() == 0 {
		return errUsage
	}
	for _, url := range flags.Args() {
		for range *count {
			ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
			_, body, err := get(ctx, url)
			cancel()
			if err != nil {
				return err
			}
			fmt.Println(strings.TrimSuffix(body, "\n"))
		}
	}
	return nil
}

// get makes one request on a connection of its own, so that each is balanced anew.
func get(ctx context.Context, url string) (http.Header, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, "", fmt.Errorf("GET %s: reading the answer: %w", url, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, "", fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return response.Header, string(body), nil
}
