package intercept

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
)

// Client asks the Room of a node for intercepts, through the API server.
type Client struct {
	// API is a client of the core group.
	API rest.Interface
	// Node is the name of kube-lite's node.
	Node string
}

// List has the intercepts of the node.
func (c Client) List(ctx context.Context) (all []Intercept, err error) {
	text, err := c.API.Get().Resource("nodes").Name(c.Node).SubResource("proxy").Suffix(Path).DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("intercepts of node %s: %w", c.Node, err)
	}
	return all, nil
}

// Stream is an intercept in force, until it is closed.
type Stream struct {
	client Client
	first  Event
	body   io.ReadCloser
	events *json.Decoder
	cancel context.CancelFunc
}

// Start makes an intercept, which is in force when it returns. The error is the API's. ctx ends the intercept.
func (c Client) Start(ctx context.Context, r Request) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	request := c.API.Post().Resource("nodes").Name(c.Node).SubResource("proxy").Suffix(Path, r.Namespace, r.Service).
		Param("port", r.Port).Param("to", r.To)
	for _, h := range r.Headers {
		request = request.Param("header", h)
	}
	body, err := request.Stream(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &Stream{client: c, body: body, events: json.NewDecoder(body), cancel: cancel}
	if err := s.events.Decode(&s.first); err != nil || s.first.Intercept == nil {
		s.Cancel()
		return nil, fmt.Errorf("the node %s does not answer as a node of kube-lite: %w", c.Node, err)
	}
	return s, nil
}

// First is the event with which the intercept began.
func (s *Stream) First() Event { return s.first }

// Next waits for the next event. io.EOF, or another error, says that the intercept has ended.
func (s *Stream) Next() (e Event, err error) {
	err = s.events.Decode(&e)
	return e, err
}

// Cancel ends the intercept, and does not wait for that.
func (s *Stream) Cancel() {
	s.cancel()
	_ = s.body.Close()
}

// goneInterval is how often Close looks.
const goneInterval = 20 * time.Millisecond

// Close ends the intercept, and returns when new connections go to the pods again. The error says that nobody knows.
func (s *Stream) Close(ctx context.Context) error {
	s.Cancel()
	mine := *s.first.Intercept
	err := wait.PollUntilContextCancel(ctx, goneInterval, true, func(ctx context.Context) (bool, error) {
		all, err := s.client.List(ctx)
		for _, other := range all {
			if other.port() == mine.port() && other.Since.Equal(mine.Since) && other.To == mine.To {
				return false, nil
			}
		}
		return true, err
	})
	if err != nil {
		return fmt.Errorf("the end of the intercept %s: %w", mine, err)
	}
	return nil
}
