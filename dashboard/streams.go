package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	streamsProtocol = "kube-lite.dashboard.v1"
	// maxStreams bounds what one page follows at once.
	maxStreams = 500
	// maxLine bounds what is kept of a line before it is sent, in pieces if need be; watches have an object a line.
	maxLine = 8 << 20
	// maxBatch bounds how many bytes of lines go into one message.
	maxBatch = 256 << 10
	// sendLimit is how long a page may take to read a message.
	sendLimit = 30 * time.Second
)

// asked is a message of the page.
type asked struct {
	ID    int    `json:"id"`
	Path  string `json:"path,omitempty"` // opens the stream of what the API answers to GET
	Close bool   `json:"close,omitempty"`
}

// told is a message to the page: lines of a stream, or its end.
type told struct {
	ID    int      `json:"id"`
	Lines []string `json:"lines,omitempty"`
	End   *ending  `json:"end,omitempty"`
}

// ending says how a stream ended: the HTTP status, 0 if there was none, and what the API or the network said.
type ending struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// streams are the answers that a page follows, over one connection: a browser has six for each host.
type streams struct {
	session *session
	conn    *websocket.Conn
	ctx     context.Context
	running sync.WaitGroup

	sending sync.Mutex // of conn
	mu      sync.Mutex // guards open
	open    map[int]context.CancelFunc
}

var upgrader = websocket.Upgrader{
	Subprotocols:    []string{streamsProtocol},
	CheckOrigin:     sameOrigin,
	ReadBufferSize:  4 << 10,
	WriteBufferSize: 32 << 10,
}

func serveStreams(w http.ResponseWriter, req *http.Request, s *session) {
	conn, err := upgrader.Upgrade(w, req, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(req.Context())
	all := &streams{session: s, conn: conn, ctx: ctx, open: map[int]context.CancelFunc{}}
	defer all.running.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	conn.SetReadLimit(64 << 10)
	for {
		var a asked
		if err := conn.ReadJSON(&a); err != nil {
			return
		}
		all.take(a)
	}
}

func (a *streams) take(message asked) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cancel, isOpen := a.open[message.ID]
	switch {
	case message.Close && isOpen:
		cancel()
	case message.Close || isOpen: // has ended by itself, or the page is confused
	case len(a.open) >= maxStreams:
		a.running.Go(func() {
			_ = a.send(told{ID: message.ID, End: &ending{http.StatusTooManyRequests, "too many streams"}})
		})
	default:
		ctx, cancel := context.WithCancel(a.ctx)
		a.open[message.ID] = cancel
		a.running.Go(func() {
			defer cancel()
			end := a.follow(ctx, message)
			a.mu.Lock()
			delete(a.open, message.ID)
			a.mu.Unlock()
			_ = a.send(told{ID: message.ID, End: &end}) // the page is gone if it fails
		})
	}
}

// follow sends the lines of an answer until it or ctx ends.
func (a *streams) follow(ctx context.Context, message asked) ending {
	if !strings.HasPrefix(message.Path, "/api") {
		return ending{http.StatusBadRequest, "the path is none of the API's"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.session.config.Host+message.Path, nil)
	if err != nil {
		return ending{http.StatusBadRequest, err.Error()}
	}
	req.Header.Set("Accept", "application/json, */*")
	response, err := a.session.transport.RoundTrip(req)
	if err != nil {
		return ending{0, err.Error()}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxBatch))
		if status, err := decode[metav1.Status](text); err == nil && status.Message != "" {
			return ending{response.StatusCode, status.Message}
		}
		return ending{response.StatusCode, string(text)}
	}
	if err := a.copyLines(message.ID, response.Body); err != nil {
		return ending{0, err.Error()}
	}
	return ending{Code: http.StatusOK}
}

// copyLines sends what is there in one message, and waits for no more than that.
func (a *streams) copyLines(id int, from io.Reader) error {
	reader := bufio.NewReaderSize(from, 64<<10)
	for {
		lines, end := readBatch(reader)
		if len(lines) > 0 {
			if err := a.send(told{ID: id, Lines: lines}); err != nil {
				return err
			}
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

// readBatch waits for a line, and returns it with those behind it that are there already. An error may come with what stands before it.
func readBatch(r *bufio.Reader) (lines []string, err error) {
	for size := 0; size < maxBatch; {
		line, err := readLine(r)
		if err == nil || len(line) > 0 {
			lines = append(lines, strings.ToValidUTF8(string(line), "\uFFFD"))
			size += len(line)
		}
		if err != nil || !lineBuffered(r) {
			return lines, err
		}
	}
	return lines, nil
}

// readLine returns a line without its end, or the first maxLine bytes of it. An error may come with what stands before it.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		case len(line) >= maxLine:
			return line, nil
		}
	}
}

// lineBuffered tells whether a line can be read without waiting.
func lineBuffered(r *bufio.Reader) bool {
	there, _ := r.Peek(r.Buffered())
	return bytes.IndexByte(there, '\n') >= 0
}

func (a *streams) send(message told) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	if err := a.conn.SetWriteDeadline(time.Now().Add(sendLimit)); err != nil {
		return err
	}
	return a.conn.WriteJSON(message)
}
