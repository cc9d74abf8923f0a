// Package hubtest is a Hugging Face Hub on the loopback interface for tests.
// It speaks as much of the protocol as a download needs, with large files on a
// second server as the hub has them, and fails on demand.
package hubtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Server is a hub and its storage.
type Server struct {
	// URL is the hub's address, for HF_ENDPOINT.
	URL string

	hub, store *httptest.Server
	narrow     atomic.Bool
	total      atomic.Int64

	mu     sync.Mutex
	fail   func(r Request, before int) *Fault
	sent   func(total int64)
	models map[string]*model
	counts map[Request]int
	bytes  map[string]int64
	leaked []string
}

// Kind is a sort of request.
type Kind string

// The kinds of requests.
const (
	API   Kind = "api"   // what is in a repository
	Head  Kind = "head"  // hash and size of a file
	Get   Kind = "get"   // content from the hub, or a redirect to the storage
	Store Kind = "store" // content from the storage
)

// Request identifies a request.
type Request struct {
	Kind Kind
	File string
}

// Fault says what goes wrong. The fields that are not zero happen.
type Fault struct {
	Status int               // this answer
	Header map[string]string // these headers, with any answer
	Cut    int64             // the connection ends after so many bytes of the body
	Stall  int64             // nothing more comes after so many bytes
	Slow   time.Duration     // a pause after each 16 KiB of the body
	Flip   bool              // the first byte of the body is wrong
	Longer int64             // that many bytes too many (negative: too few)
	HTML   bool              // a web page
	Loop   bool              // a redirect to the same address
	Whole  bool              // ranges are ignored
	NoSize bool              // an answer to HEAD does not tell the size
}

type model struct {
	commit string
	files  map[string]file
	gated  string // the token that may read it; "" for everybody
}

type file struct {
	data   []byte
	sha256 string // of a file in the storage, else ""
	gitID  string
}

// New starts a hub without models. It ends with the test.
func New(tb testing.TB) *Server {
	s := &Server{models: map[string]*model{}, counts: map[Request]int{}, bytes: map[string]int64{}}
	s.hub = s.start(http.HandlerFunc(s.serveHub))
	s.store = s.start(http.HandlerFunc(s.serveStore))
	s.URL = s.hub.URL
	tb.Cleanup(func() {
		for _, server := range []*httptest.Server{s.hub, s.store} {
			server.CloseClientConnections()
			server.Close()
		}
	})
	return s
}

func (s *Server) start(h http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(h)
	server.Listener = &listener{server.Listener, &s.narrow}
	server.Start()
	return server
}

// Narrow gives new connections small buffers, so that few bytes are counted
// as sent that nobody received.
func (s *Server) Narrow() { s.narrow.Store(true) }

type listener struct {
	net.Listener
	narrow *atomic.Bool
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok && l.narrow.Load() {
		tcp.SetWriteBuffer(64 << 10)
	}
	return conn, err
}

// Add makes a model or replaces it by a new commit, and returns the commit.
// Safetensors and files of more than 1 MiB are in the storage.
func (s *Server) Add(name string, files map[string]string) (commit string) {
	m := &model{files: map[string]file{}}
	all := sha1.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		data := []byte(files[path])
		f := file{data: data, gitID: gitID(data)}
		if strings.HasSuffix(path, ".safetensors") || len(data) > 1<<20 {
			sum := sha256.Sum256(data)
			f.sha256 = hex.EncodeToString(sum[:])
		}
		m.files[path] = f
		fmt.Fprintln(all, path, f.gitID)
	}
	m.commit = hex.EncodeToString(all.Sum(nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models[name] = m
	return m.commit
}

// Gate makes a model readable with this token alone.
func (s *Server) Gate(name, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models[name].gated = token
}

// OnRequest sets what is asked about every request: what is requested, and how
// many requests for the same came before. It returns what goes wrong, or nil.
func (s *Server) OnRequest(fail func(r Request, before int) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// OnSent sets what is called, often, with the bytes of contents sent so far.
func (s *Server) OnSent(sent func(total int64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = sent
}

func gitID(data []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// Env returns an environment in which the hub is used with a cache.
func (s *Server) Env(cache string) func(string) string {
	vars := map[string]string{"HF_ENDPOINT": s.URL, "HF_HUB_CACHE": cache, "HF_HOME": cache + "-home"}
	return func(name string) string { return vars[name] }
}

// Bytes returns how many bytes of a file's content were sent.
func (s *Server) Bytes(file string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes[file]
}

// Total returns how many bytes of all files' contents were sent.
func (s *Server) Total() int64 { return s.total.Load() }

// Count returns how many requests of a kind came for a file.
func (s *Server) Count(kind Kind, file string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[Request{kind, file}]
}

// Requests returns how many requests came.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.counts {
		n += c
	}
	return n
}

// Leaked returns the tokens that the storage was sent, which it must not get.
func (s *Server) Leaked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.leaked)
}
