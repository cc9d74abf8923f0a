package hub

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// fact is what the hub says about a file of a commit.
type fact struct {
	etag string // the name of its blob: a SHA-256, a Git blob's SHA-1, or another hash
	size int64
}

// unknown is the size of a file that a mirror does not tell.
const unknown = -1

// facts remembers what was asked.
type facts struct {
	mu    sync.Mutex
	known map[string]fact
}

// fact asks for the hash and the size of a file. For a file in large storage
// the hub answers with a redirect that has both; the redirect is not followed.
func (r *Repo) fact(ctx context.Context, file string) (f fact, err error) {
	r.facts.mu.Lock()
	f, found := r.facts.known[file]
	r.facts.mu.Unlock()
	if found {
		return f, nil
	}
	if !validFile(file) || !r.Has(file) {
		return fact{}, &Error{Reason: NotFound, message: fmt.Sprintf("%s at %s has no file %s", r.Name, r.Revision, shorten(file))}
	}
	c := r.client
	err = c.retry(ctx, func() (bool, error) {
		client := *c.http
		client.CheckRedirect = headRedirect
		resp, err := c.send(ctx, &client, http.MethodHead, r.url(file), nil)
		if err != nil {
			return false, c.unreachable(ctx, err)
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 400 {
			return false, c.judge(resp, r.target(file))
		}
		if f, err = parseFact(resp, r.Commit); err != nil {
			return false, fmt.Errorf("%s: %w", r.target(file), err)
		}
		return true, nil
	})
	if err == nil && f.size == unknown {
		f.size, err = r.askSize(ctx, file)
	}
	if err == nil && f.size > maxOther && path.Ext(file) != ".safetensors" {
		err = fmt.Errorf("%s: %d bytes are more than such a file ever has (limit %d)", r.target(file), f.size, int64(maxOther))
	}
	if err != nil {
		return fact{}, err
	}
	r.facts.mu.Lock()
	defer r.facts.mu.Unlock()
	if r.facts.known == nil {
		r.facts.known = make(map[string]fact)
	}
	r.facts.known[file] = f
	return f, nil
}

// headRedirect stops at a redirect to another host that tells the hash.
func headRedirect(req *http.Request, via []*http.Request) error {
	if req.URL.Host != via[0].URL.Host && req.Response.Header.Get("X-Linked-Etag") != "" {
		return http.ErrUseLastResponse
	}
	return checkRedirect(req, via)
}

// parseFact reads the headers of an answer about a file.
func parseFact(resp *http.Response, commit string) (f fact, err error) {
	h := resp.Header
	if c := h.Get("X-Repo-Commit"); c != "" && c != commit {
		return f, fmt.Errorf("the server answered for commit %q instead of %s", shorten(c), commit)
	}
	tag, size := h.Get("X-Linked-Etag"), h.Get("X-Linked-Size")
	if tag == "" {
		tag = h.Get("ETag")
	}
	if size == "" && resp.StatusCode/100 == 2 {
		size = h.Get("Content-Length")
	}
	if tag == "" {
		page := ""
		if strings.HasPrefix(h.Get("Content-Type"), "text/html") {
			page = "with a web page "
		}
		return f, fmt.Errorf("%s answered %swithout a hash (ETag), so it is not a hub: check HF_ENDPOINT, or whether the network asks for a login", resp.Request.URL.Host, page)
	}
	if f.etag, err = parseETag(tag); err != nil {
		return f, err
	}
	if size == "" {
		f.size = unknown
		return f, nil
	}
	f.size, err = strconv.ParseInt(size, 10, 64)
	if err != nil || f.size < 0 || f.size > maxSize {
		return f, fmt.Errorf("the server's size of it, %q, is not one", shorten(size))
	}
	return f, nil
}

// askSize asks for the first byte of a file to learn its size.
func (r *Repo) askSize(ctx context.Context, file string) (size int64, err error) {
	c := r.client
	err = c.retry(ctx, func() (bool, error) {
		resp, err := c.do(ctx, http.MethodGet, r.url(file), r.target(file), http.Header{"Range": {"bytes=0-0"}})
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		size = resp.ContentLength
		if resp.StatusCode == http.StatusPartialContent {
			_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
			if size, err = strconv.ParseInt(total, 10, 64); err != nil {
				size = unknown
			}
		}
		if size < 0 || size > maxSize {
			return false, fmt.Errorf("%s: the server does not tell its size", r.target(file))
		}
		return true, nil
	})
	return size, err
}
