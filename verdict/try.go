package verdict

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// tryEvery is how long a check that failed waits before it is tried again.
	tryEvery = 300 * time.Millisecond
	// mostBody is how many bytes of a response are read.
	mostBody = 10 << 20
	// shownBody is how many characters of one are shown.
	shownBody = 2000
)

// Applier applies the Job that is a check.
type Applier func(context.Context, *Check) (Object, error)

// attempt is a check on its way.
type attempt struct {
	*Check
	Result
	began time.Time
	done  bool
	job   *entry // once it is applied
}

// Try tries the checks in their order, and those that failed once more when the others have had their turn, until each has
// passed or its time is over.
func (r *Run) Try(ctx context.Context, checks []Check, apply Applier) (results []Result, ok bool) {
	attempts := make([]*attempt, len(checks))
	for n := range checks {
		attempts[n] = &attempt{Check: &checks[n], Result: Result{Group: Checks, Name: checks[n].Name}}
		r.Report.set(item{name: checks[n].Name, state: Waiting, text: "not tried yet"})
	}
	for over := false; ; over = !pause(ctx, tryEvery) {
		left := 0
		for _, a := range attempts {
			if !a.done && !over && ctx.Err() == nil {
				r.attempt(ctx, a, apply)
			}
			if !a.done && (over || a.within > 0 && time.Since(a.began) > a.within) {
				r.giveUp(ctx, a)
			}
			if !a.done {
				left++
			}
		}
		r.Report.tick()
		if left == 0 {
			break
		}
	}
	for _, a := range attempts {
		results = append(results, a.Result)
	}
	return results, passed(results)
}

// Skip is what becomes of checks that are not tried.
func Skip(checks []Check) (results []Result) {
	for _, c := range checks {
		results = append(results, Result{Group: Checks, Name: c.Name, Skipped: true, Text: "not tried, since not all objects are as declared"})
	}
	return results
}

// attempt tries a check once.
func (r *Run) attempt(ctx context.Context, a *attempt, apply Applier) {
	if a.began.IsZero() {
		a.began = time.Now()
	}
	switch {
	case a.Check.Job() != "":
		r.tryJob(ctx, a, apply)
	case a.Exec != "":
		r.tryCommand(ctx, a)
	default:
		text, detail, err := r.request(ctx, a.Check)
		a.Text, a.Detail, a.done = text, detail, err == nil
		if err != nil {
			a.Text = err.Error()
		}
	}
	r.show(a)
}

// giveUp makes what was found last the result.
func (r *Run) giveUp(ctx context.Context, a *attempt) {
	a.done, a.Failed = true, true
	if a.Text == "" {
		a.Text = "not tried before the time was over"
	}
	if a.job != nil {
		a.Detail, a.Cause = r.explain(ctx, a.job.Object)
	}
	r.show(a)
}

func (r *Run) show(a *attempt) {
	state := Waiting
	if a.done {
		state, a.Took = Ready, time.Since(a.began)
	}
	if a.Failed {
		state = Failed
	}
	if a.began.IsZero() {
		a.Took = 0
	}
	r.Report.set(item{name: a.Result.Name, state: state, text: a.Text, took: a.Took})
}

// request makes one request and judges the response. detail is the response, of one that is not as expected.
func (r *Run) request(ctx context.Context, c *Check) (text, detail string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	way, err := r.reach(ctx, c.target)
	if err != nil {
		return "", "", err
	}
	request, err := http.NewRequestWithContext(ctx, c.Method, c.target.url(way.port), strings.NewReader(c.Body))
	if err != nil {
		return "", "", err
	}
	for key, value := range c.Headers {
		request.Header.Set(key, value)
		if http.CanonicalHeaderKey(key) == "Host" {
			request.Host = value
		}
	}
	response, err := r.client(way, c.Insecure).Do(request)
	if err != nil {
		return "", "", hint(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostBody))
	if err != nil {
		return "", "", fmt.Errorf("read the response: %w", err)
	}
	if err := c.judge(response.StatusCode, body); err != nil {
		return "", shownResponse(response, body), err
	}
	return fmt.Sprintf("status %d", response.StatusCode), "", nil
}

// hint says what to do about a certificate that nobody here knows.
func hint(err error) error {
	if strings.Contains(err.Error(), "x509: ") {
		return fmt.Errorf(`%w (a check in a file takes any certificate with "insecure: true")`, err)
	}
	return err
}

// judge holds a response against what is expected.
func (c *Check) judge(status int, body []byte) error {
	switch {
	case c.Status != 0 && status != c.Status:
		return fmt.Errorf("status %d, want %d", status, c.Status)
	case c.Status == 0 && (status < 200 || status > 299):
		return fmt.Errorf("status %d, want 200 to 299", status)
	case !c.matches.Match(body):
		return fmt.Errorf("the body does not match %q", c.Matches)
	}
	if c.JSON == nil {
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	var got bytes.Buffer
	if err := c.path.Execute(&got, value); err != nil {
		return fmt.Errorf("%s: %w", c.JSON.Path, err)
	}
	if got.String() != c.JSON.Value {
		return fmt.Errorf("%s is %q, want %q", c.JSON.Path, got.String(), c.JSON.Value)
	}
	return nil
}

// shownResponse is a response as a person reads it.
func shownResponse(response *http.Response, body []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", response.Proto, response.Status)
	for _, key := range []string{"Content-Type", "Location"} {
		if value := response.Header.Get(key); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, value)
		}
	}
	text := []rune(printable(string(body)))
	if len(text) > shownBody {
		text = append(text[:shownBody], '…')
	}
	fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(string(text), "\n"))
	return b.String()
}
