package intercept

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Request says whose traffic is to go where.
type Request struct {
	Namespace, Service string
	// Port is its name or number in the Service; "" means the only one of TCP.
	Port string
	// To is the host and port of the process, as in localhost:3000.
	To string
	// Headers are KEY=VALUE. With some, only the HTTP requests that have them all go to the process.
	Headers []string
}

// Intercept is one that is in force.
type Intercept struct {
	Namespace string    `json:"namespace"`
	Service   string    `json:"service"`
	Port      int32     `json:"port"`
	PortName  string    `json:"portName"` // "" where the Service's only port has none
	To        string    `json:"to"`
	Headers   []string  `json:"headers"` // KEY=VALUE; never null
	Since     time.Time `json:"since"`
}

// String says it in a line: default/web:http to localhost:3000.
func (i Intercept) String() string {
	text := fmt.Sprintf("%s/%s:%s to %s", i.Namespace, i.Service, cmp.Or(i.PortName, strconv.Itoa(int(i.Port))), i.To)
	if len(i.Headers) > 0 {
		text += " with " + strings.Join(i.Headers, ", ")
	}
	return text
}

// An Event is a line of the answer to who asked for an intercept, in JSON.
type Event struct {
	State State `json:"state"`
	// Intercept and ResolvConf are in the first one. ResolvConf is the text of /etc/resolv.conf that a pod of the
	// Service's namespace has, without what it takes from the machine.
	Intercept  *Intercept `json:"intercept,omitempty"`
	ResolvConf string     `json:"resolvConf,omitempty"`
	// Error says why the process does not take connections.
	Error string `json:"error,omitempty"`
}

// State is where new connections go.
type State string

// The states of an intercept. It begins with one of them; how it ends is how the answer ends.
const (
	ToProcess State = "ToProcess" // the process takes them
	ToPods    State = "ToPods"    // it does not, and the pods do
)

// check finds what is wrong with where a request wants to go.
func (r Request) check() error {
	host, port, err := net.SplitHostPort(r.To)
	if err != nil {
		return fmt.Errorf("--to %q: use HOST:PORT, such as localhost:3000", r.To)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return fmt.Errorf("--to %q: use HOST:PORT, such as localhost:3000", r.To)
	}
	_, err = parseHeaders(r.Headers)
	return err
}

// header is one that a request must have.
type header struct{ key, value string }

func parseHeaders(texts []string) (all []header, err error) {
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if key = strings.TrimSpace(key); !ok || key == "" || strings.ContainsAny(key, " :\t\r\n") {
			return nil, fmt.Errorf("--header %q: use KEY=VALUE, such as x-user=me", text)
		}
		all = append(all, header{http.CanonicalHeaderKey(key), value})
	}
	return all, nil
}

// on tells whether a request has the header.
func (h header) on(r *http.Request) bool {
	if h.key == "Host" { // net/http has it elsewhere
		return r.Host == h.value
	}
	for _, value := range r.Header[h.key] {
		if value == h.value {
			return true
		}
	}
	return false
}
