// Package hub downloads models from the Hugging Face Hub, or from a mirror that
// speaks its protocol, into the cache that Python's huggingface_hub uses: what
// either program downloads, the other finds.
//
//	client, err := hub.New(hub.Options{})
//	repo, err := client.Repo(ctx, "Qwen/Qwen3-0.6B", "main")
//	err = repo.Fetch(ctx, "config.json", "model.safetensors")
//	err = repo.Publish()
//	fmt.Println(repo.Path())
//
// Large files are fetched in several ranges at once, into partial files that a
// later call continues, whatever ended the one before. A file gets its name in
// the cache only after its hash is right.
//
// What a server says is hostile input: names, hashes and sizes are checked
// before they are used, and nothing is written outside the model's folder of
// the cache. An access token is sent to the hub alone, never to a host that it
// redirects to.
package hub

import (
	"net"
	"net/http"
	"os"
	"time"
)

// Options say which hub is asked and how. The zero value reads the environment
// as Python's huggingface_hub does.
type Options struct {
	// Getenv replaces os.Getenv. New reads HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH,
	// HF_HOME, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HUB_OFFLINE,
	// XDG_CACHE_HOME and the home folder's variable.
	Getenv func(string) string
	// Token is the access token; "" takes HF_TOKEN or the file that
	// huggingface-cli login wrote.
	Token string
	// Progress is told about transfers; nil for nobody.
	Progress Progress
}

// Progress is told what a download does. Methods are called by several
// goroutines at once and return soon.
type Progress interface {
	// Begin comes once per call that has something to transfer: the number of
	// files and the sum of their sizes.
	Begin(files int, size int64)
	// Start announces one of these files: its size, and the bytes of it that are
	// there already. It comes again for a file that is started again.
	Start(file string, size, have int64)
	// Add says that bytes of a file arrived. They are negative if bytes that
	// were counted before turned out to be useless.
	Add(file string, bytes int64)
	// Done says that a file is complete and checked.
	Done(file string)
	// Note is a line about what is waited for.
	Note(line string)
}

// Client is a connection to one hub and one cache. It is safe for concurrent use.
type Client struct {
	endpoint string
	token    string
	offline  bool
	cache    Cache
	progress Progress
	http     *http.Client
	pace     pace
}

// pace holds the sizes and times of transfers; tests take smaller ones.
type pace struct {
	piece       int64         // what the journal counts
	span        int64         // the most that one request asks for
	connections int           // requests at once
	files       int           // files at once
	attempts    int           // fruitless ones before giving up
	pause       time.Duration // before the second attempt; doubles
	longest     time.Duration // of all pauses
	stall       time.Duration // without a byte
}

var usualPace = pace{
	piece: 1 << 20, span: 16 << 20, connections: 8, files: 4,
	attempts: 6, pause: 500 * time.Millisecond, longest: 30 * time.Second, stall: 30 * time.Second,
}

// New returns a client. It reads the environment and connects to nothing.
func New(o Options) (*Client, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	endpoint, err := endpointOf(o.Getenv)
	if err != nil {
		return nil, err
	}
	if o.Token == "" {
		o.Token = tokenOf(o.Getenv)
	}
	if o.Progress == nil {
		o.Progress = silent{}
	}
	c := &Client{
		endpoint: endpoint,
		token:    o.Token,
		offline:  isTrue(o.Getenv("HF_HUB_OFFLINE")) || isTrue(o.Getenv("TRANSFORMERS_OFFLINE")),
		cache:    CacheOf(o.Getenv),
		progress: o.Progress,
		pace:     usualPace,
	}
	c.http = newHTTP(c.pace)
	return c, nil
}

// newHTTP returns a client that times out where nothing happens, but never on
// a transfer that is merely slow.
func newHTTP(p pace) *http.Client {
	var http1 http.Protocols // HTTP/2 would put all ranges on one connection
	http1.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: p.stall,
			MaxIdleConnsPerHost:   2 * p.connections,
			IdleConnTimeout:       90 * time.Second,
			DisableCompression:    true, // sizes and ranges are those of the file
			ReadBufferSize:        128 << 10,
			Protocols:             &http1,
		},
		CheckRedirect: checkRedirect,
	}
}

// Cache returns the cache that the client downloads into.
func (c *Client) Cache() Cache { return c.cache }

// Offline reports whether HF_HUB_OFFLINE forbids requests.
func (c *Client) Offline() bool { return c.offline }

type silent struct{}

func (silent) Begin(int, int64)           {}
func (silent) Start(string, int64, int64) {}
func (silent) Add(string, int64)          {}
func (silent) Done(string)                {}
func (silent) Note(string)                {}
