package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// get requests url on a connection of its own and returns the body and the name of the host that answered.
func get(url string) (body, hostname string, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return "", "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return string(data), response.Header.Get("Echo-Hostname"), nil
}

// waitForAnswer requests url until the answer is want: rules and endpoints follow their Service within a moment.
func waitForAnswer(t *testing.T, url, want string) {
	t.Helper()
	eventually(t, func() error {
		body, _, err := get(url)
		if err == nil && strings.TrimSpace(body) != want {
			err = fmt.Errorf("GET %s: answer is %q, want %q", url, body, want)
		}
		return err
	})
}
