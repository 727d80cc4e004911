package verdict

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// prepared are checks as a command line or a file makes them.
func prepared(t *testing.T, checks ...Check) []Check {
	t.Helper()
	for n := range checks {
		if m := checks[n].prepare(); m != nil {
			t.Fatal(m)
		}
	}
	return checks
}

func noJob(context.Context, *Check) (Object, error) { return Object{}, errors.New("no Job") }

func TestTryJudgesResponses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/json":
			fmt.Fprint(w, `{"items":[{"name":"a"},{"name":"b"}]}`)
		case "/moved":
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
		default:
			fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.Header.Get("X-Shop"), body)
		}
	}))
	defer server.Close()
	at := server.URL
	checks := prepared(t,
		Check{URL: at + "/"},
		Check{URL: at + "/", Body: "beans", Headers: map[string]string{"X-Shop": "one", "Host": "shop.example"}, Matches: "^POST shop.example one beans$"},
		Check{URL: at + "/json", JSON: &JSONCheck{"{.items[1].name}", "b"}},
		Check{URL: at + "/moved", Status: http.StatusFound},
	)
	results, ok := newRig(t).Try(t.Context(), checks, noJob)
	if !ok {
		t.Errorf("%+v", results)
	}
	for want, c := range map[string]Check{
		"status 302, want 200 to 299":           {URL: at + "/moved"},
		"status 200, want 404":                  {URL: at + "/", Status: 404},
		`the body does not match "nothing"`:     {URL: at + "/", Matches: "nothing"},
		`{.items[0].name} is "a", want "b"`:     {URL: at + "/json", JSON: &JSONCheck{"{.items[0].name}", "b"}},
		"the body is no JSON":                   {URL: at + "/", JSON: &JSONCheck{"{.a}", "b"}},
		"there is no Service web in namespace ": {URL: "http://web.shop/"},
		"no Ingress has the host a.b.c":         {URL: "http://a.b.c/"},
		"a is not found":                        {URL: at + "/json", JSON: &JSONCheck{"{.a}", "b"}},
	} {
		c.Within = "1ns"
		results, ok := newRig(t).Try(t.Context(), prepared(t, c), noJob)
		if ok || len(results) != 1 || !strings.Contains(results[0].Text, want) {
			t.Errorf("%s: %+v", want, results)
		}
	}
}

// A check that fails is tried again, and keeps no other from its turn.
func TestTryTriesAgain(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			if calls++; calls < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}))
	defer server.Close()
	checks := prepared(t, Check{URL: server.URL + "/never", Status: 500, Within: "2s"}, Check{URL: server.URL + "/late"})
	results, ok := newRig(t).Try(t.Context(), checks, noJob)
	if ok || !results[0].Failed || results[1].Failed || calls != 3 {
		t.Errorf("after %d calls: %+v", calls, results)
	}
}

func TestTryEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	results, ok := newRig(t).Try(ctx, prepared(t, Check{URL: "http://web/"}, Check{Exec: "deploy/web", Command: []string{"true"}}), noJob)
	if ok || len(results) != 2 || !results[0].Failed || !results[1].Failed || results[1].Text == "" {
		t.Errorf("%+v", results)
	}
}

func TestTryJob(t *testing.T) {
	for text, want := range map[string]string{
		job + "status: {conditions: [{type: Complete, status: 'True'}]}": "",
		failedJob: "BackoffLimitExceeded",
	} {
		r := newRig(t, text)
		applied := 0
		results, ok := r.Try(t.Context(), prepared(t, Check{Exec: "job/once"}), func(context.Context, *Check) (Object, error) {
			applied++
			return r.Objects[0], nil
		})
		if ok != (want == "") || applied != 1 || !strings.Contains(results[0].Text, want) || (results[0].Detail == "") != ok {
			t.Errorf("applied %d times: %+v", applied, results)
		}
	}
}

func TestPodFor(t *testing.T) {
	r := newRig(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: {matchLabels: {app: web}}}",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: old, labels: {app: web}}\nstatus: {phase: Pending}",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, labels: {app: web}}\nstatus: {conditions: [{type: Ready, status: 'True'}]}")
	if p, err := r.podFor(t.Context(), "deploy/web"); err != nil || p.Name != "web-1" {
		t.Errorf("%v, %v", p, err)
	}
	for object, want := range map[string]string{
		"pod/old": "has no pod that is ready", "pod/none": "not found", "svc/web": "a command runs in a pod, deployment, statefulset or daemonset",
	} {
		if _, err := r.podFor(t.Context(), object); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", object, err, want)
		}
	}
}
