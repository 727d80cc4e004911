package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// httpClients are connections that each wait for their answer before the next request.
	httpClients = 32
	// httpTurn is how long each proxy is asked in a round.
	httpTurn = 3 * time.Second
	// httpLimit bounds one answer.
	httpLimit = 10 * time.Second
)

// ingressApp is two pods behind an Ingress. The echo server answers a few dozen bytes.
const ingressApp = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-serve, ":8080", "hello from a pod"]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: %[1]s}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
`

// nginxConf is a proxy that does what ours does: HTTP/1.1 on connections that stay, and the headers that say who asked.
const nginxConf = `
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log;
daemon off;
master_process off;
events { worker_connections 4096; }
http {
	access_log off;
	keepalive_requests 100000000;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	upstream pods { %[3]s keepalive 256; keepalive_requests 100000000; }
	server {
		listen %[2]s;
		location / {
			proxy_pass http://pods;
			proxy_http_version 1.1;
			proxy_buffering off;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Host $http_host;
			proxy_set_header X-Forwarded-Port $server_port;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Real-IP $remote_addr;
		}
	}
}
`

// measureIngress compares what a core of each proxy could do: the requests for each second of its processor time. On two
// cores, client and pods are the limit of what can be seen.
func measureIngress(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	if b.nginx == "" {
		return nil, "", skipped("no nginx to compare with (-nginx)")
	}
	err = b.with(ctx, func(i *instance) error {
		ours, pods, err := i.prepareIngress(ctx)
		if err != nil {
			return err
		}
		theirs, stop, err := startNginx(ctx, b.nginx, i.scratch, pods)
		if err != nil {
			return err
		}
		defer stop()
		for round := range b.rounds + 1 { // the first warms up
			for turn := range 2 {
				if err := []*httpProxy{ours, theirs}[(round+turn)%2].turn(ctx); err != nil {
					return err
				}
			}
			if round > 0 {
				b.say(round, b.rounds, "kube-lite %.0f/s (%.0f µs each), nginx %.0f/s (%.0f µs each)", ours.rates[round], ours.costs[round], theirs.rates[round], theirs.costs[round])
			}
		}
		samples = ratios(theirs.costs[1:], ours.costs[1:])
		note = fmt.Sprintf("requests for each second of the proxy's processor time; medians: kube-lite %.0f µs each at %.0f/s, nginx %.0f µs at %.0f/s; %d connections that stay, two pods",
			median(ours.costs[1:]), median(ours.rates[1:]), median(theirs.costs[1:]), median(theirs.rates[1:]), httpClients)
		return nil
	})
	return samples, note, err
}

// httpProxy is one of the two that are compared.
type httpProxy struct {
	address string
	pid     int
	// rates are requests per second, costs are microseconds of processor time for each; one of each per round.
	rates, costs []float64
}

// prepareIngress applies the app and returns where it is served, and its pods' addresses.
func (i *instance) prepareIngress(ctx context.Context) (ours *httpProxy, pods []string, err error) {
	manifest := filepath.Join(i.scratch, "ingress.yaml")
	if err := os.WriteFile(manifest, fmt.Appendf(nil, ingressApp, namespace), 0o644); err != nil {
		return nil, nil, err
	}
	for _, args := range [][]string{{"apply", "-f", manifest}, {"-n", namespace, "rollout", "status", "deployment/web", "--timeout=1m"}} {
		if _, err := i.do(ctx, args...); err != nil {
			return nil, nil, err
		}
	}
	list, err := i.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		return nil, nil, err
	}
	for _, pod := range list.Items {
		pods = append(pods, net.JoinHostPort(pod.Status.PodIP, "8080"))
	}
	if err := i.readStatus(ctx); err != nil {
		return nil, nil, err
	}
	if i.status.Ingress == nil {
		return nil, nil, errors.New("the status has no address of Ingresses")
	}
	at, err := url.Parse(i.status.Ingress.HTTP)
	if err != nil {
		return nil, nil, err
	}
	port := at.Port()
	if port == "" {
		port = "80"
	}
	return &httpProxy{address: net.JoinHostPort("127.0.0.1", port), pid: i.status.PID}, pods, nil
}

// startNginx returns when it listens.
func startNginx(ctx context.Context, binary, scratch string, pods []string) (*httpProxy, func(), error) {
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	p := &httpProxy{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	servers := ""
	for _, pod := range pods {
		servers += "server " + pod + "; "
	}
	conf := filepath.Join(scratch, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, scratch, p.address, servers), 0o644); err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "-p", scratch, "-c", conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("nginx: %w", err)
	}
	p.pid = cmd.Process.Pid
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed, which is an error
	}
	for deadline := time.Now().Add(httpLimit); ; time.Sleep(connectInterval) {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			return p, stop, conn.Close()
		}
		if time.Now().After(deadline) {
			stop()
			return nil, nil, fmt.Errorf("nginx does not listen: %w: %s", err, said.Bytes())
		}
	}
}

// turn sends requests for a while.
func (p *httpProxy) turn(ctx context.Context) error {
	before, err := cpuTimes(p.pid)
	if err != nil {
		return err
	}
	var sum atomic.Int64
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range httpClients {
		group.Go(func() error {
			n, err := requestUntil(ctx, p.address, began.Add(httpTurn))
			sum.Add(n)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := cpuTimes(p.pid)
	p.rates = append(p.rates, float64(sum.Load())/took.Seconds())
	p.costs = append(p.costs, float64((after.own-before.own).Microseconds())/float64(sum.Load()))
	return err
}

// requestUntil sends requests on one connection until the time is over. The client has to be cheap beside a proxy: it
// reads a status and a length, and no more.
func requestUntil(ctx context.Context, address string, end time.Time) (answered int64, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	request := []byte("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	answers := bufio.NewReader(conn)
	for time.Now().Before(end) && ctx.Err() == nil {
		if err := conn.SetDeadline(time.Now().Add(httpLimit)); err != nil {
			return answered, err
		}
		if _, err := conn.Write(request); err != nil {
			return answered, err
		}
		if err := readAnswer(answers); err != nil {
			return answered, fmt.Errorf("after %d answers: %w", answered, err)
		}
		answered++
	}
	return answered, ctx.Err()
}

func readAnswer(r *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimSuffix(string(line), "\r\n")
		if first && !strings.HasPrefix(text, "HTTP/1.1 200 ") {
			return fmt.Errorf("the answer is %q", text)
		}
		if text == "" {
			break
		}
		if name, value, _ := strings.Cut(text, ":"); strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("the answer has no length")
	}
	_, err := io.CopyN(io.Discard, r, int64(length))
	return err
}
