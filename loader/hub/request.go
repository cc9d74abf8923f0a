package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// userAgent names the program to the server.
const userAgent = "emily (Go)"

const maxRedirects = 10

// target is what a request is for; errors name it.
type target struct{ repo, revision, file string }

func (t target) String() string {
	if t.file == "" {
		return t.repo + "@" + t.revision
	}
	return t.repo + "@" + t.revision + "/" + t.file
}

// target returns what a request for a file is for.
func (r *Repo) target(file string) target { return target{r.Name, r.Revision, file} }

// do makes one request and follows redirects. An answer other than success is
// an error. The caller closes the body.
func (c *Client) do(ctx context.Context, method, address string, what target, header http.Header) (*http.Response, error) {
	resp, err := c.send(ctx, c.http, method, address, header)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.judge(resp, what)
}

// send makes one request whose body fails when nothing arrives for a while.
func (c *Client) send(ctx context.Context, client *http.Client, method, address string, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := client.Do(req)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	timer := time.AfterFunc(c.pace.stall, func() { cancel(errStalled) })
	timer.Stop()
	resp.Body = &watchedBody{resp.Body, ctx, cancel, timer, c.pace.stall}
	return resp, nil
}

var errStalled = errors.New("no data came for a while")

// watchedBody has a timer that runs while a read waits, so that a dead line is
// an error but a slow one, or a slow disk, is not.
type watchedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.limit)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF && context.Cause(b.ctx) == errStalled {
		err = errStalled
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// checkRedirect drops the token where a redirect leaves the first host, and
// refuses to go on without encryption.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first, last := via[0].URL, via[len(via)-1].URL
	switch {
	case len(via) >= maxRedirects:
		return fatalError{fmt.Errorf("%s was redirected more than %d times", first, maxRedirects)}
	case req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return fatalError{fmt.Errorf("%s was redirected to %s, which is not a web address", first, shorten(req.URL.String()))}
	case last.Scheme == "https" && req.URL.Scheme == "http":
		return fatalError{fmt.Errorf("%s was redirected from https to http", first)}
	}
	for _, r := range via {
		if r.URL.Host != req.URL.Host || r.URL.Scheme != req.URL.Scheme {
			req.Header.Del("Authorization")
		}
	}
	return nil
}

// fatalError is one that a second attempt would meet again.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// transientError is one that another attempt may not meet.
type transientError struct {
	error
	after time.Duration // what the server asked to wait
}

func (e transientError) Unwrap() error { return e.error }

// transient marks an error of the network.
func transient(err error) error { return transientError{error: err} }

// unreachable returns the error of a request that got no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var fatal fatalError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &fatal):
		return fatal.error
	}
	host := c.endpoint
	var failed *url.Error // its message has the address, with signatures
	if errors.As(err, &failed) {
		if u, bad := url.Parse(failed.URL); bad == nil {
			host = u.Scheme + "://" + u.Host
		}
		err = failed.Err
	}
	return transient(&Error{Reason: Failed, cause: err,
		message: fmt.Sprintf("%s cannot be reached: %v; check the network, or set HF_ENDPOINT to a mirror", host, err)})
}

// judge returns the error of an answer other than success.
func (c *Client) judge(resp *http.Response, what target) error {
	err := c.refusal(resp, what)
	s := resp.StatusCode
	busy := s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s >= 500
	// Storage behind the hub refuses an address whose signature has expired;
	// the next attempt gets a new one.
	expired := (s == http.StatusUnauthorized || s == http.StatusForbidden) && resp.Request.Response != nil
	if busy || expired {
		return transientError{err, retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	return err
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(header), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// longestWait bounds what a server may ask for.
const longestWait = 5 * time.Minute

// retry calls attempt until it succeeds, fails for good or has failed too
// often without progress, with pauses that double, in part at random so that
// many clients do not come back at the same moment.
func (c *Client) retry(ctx context.Context, attempt func() (progress bool, err error)) error {
	pause := c.pace.pause
	for fruitless := 0; ; {
		progress, err := attempt()
		var again transientError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &again):
			return err
		case progress:
			fruitless, pause = 0, c.pace.pause
		default:
			fruitless++
		}
		if fruitless >= c.pace.attempts {
			return fmt.Errorf("gave up after %d attempts: %w", fruitless, err)
		}
		wait := pause/2 + rand.N(pause/2+1)
		if again.after > 0 {
			if again.after > longestWait {
				return fmt.Errorf("%w; the server asks to come back in %s", err, again.after.Round(time.Second))
			}
			wait += again.after
		}
		if wait >= 2*time.Second {
			c.progress.Note(fmt.Sprintf("trying again in %s: %v", wait.Round(time.Second), err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		pause = min(2*pause, c.pace.longest)
	}
}
