package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

var (
	errHash    = errors.New("wrong content")
	errChanged = errors.New("the file changed on the server during the transfer")
)

// transfer fetches what a partial file lacks.
type transfer struct {
	repo *Repo
	file string // its name in the repository
	part *partial
	slot *semaphore.Weighted // one per connection, shared with other files

	// ranges is closed when it is known whether the server gives parts of the
	// file; until then there is one request.
	ranges    chan struct{}
	rangeOnce sync.Once

	mu    sync.Mutex
	etags map[string]string // of each host that sent a part
}

// run fetches the missing ranges while the file's hash is computed.
func (t *transfer) run(ctx context.Context) error {
	t.ranges, t.etags = make(chan struct{}), make(map[string]string)
	pace := t.repo.client.pace
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.part.hash(ctx) })
	for i := range pace.connections {
		g.Go(func() error {
			if i > 0 {
				select {
				case <-t.ranges:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			defer t.rangesKnown()
			for {
				// The slot comes first: ranges that are fetched are next to each
				// other, so that the hash can follow closely.
				if err := t.slot.Acquire(ctx, 1); err != nil {
					return err
				}
				from, to, ok := t.part.claim(pace.span)
				var err error
				if ok {
					err = t.fetch(ctx, from, to)
				}
				t.slot.Release(1)
				if !ok || err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

func (t *transfer) rangesKnown() { t.rangeOnce.Do(func() { close(t.ranges) }) }

// fetch transfers the pieces from (included) to (excluded). After an error of
// the network it goes on at the byte that it had reached.
func (t *transfer) fetch(ctx context.Context, from, to int64) error {
	p, c := t.part, t.repo.client
	pos, end := from*p.piece, min(to*p.piece, p.fact.size)
	buf := make([]byte, p.piece)
	return c.retry(ctx, func() (progress bool, err error) {
		start := pos
		body, whole, err := t.request(ctx, pos, end)
		if err != nil {
			return false, err
		}
		defer body.Close()
		if whole {
			end = p.fact.size
			p.claimRest(pos / p.piece)
		}
		t.rangesKnown()
		for pos < end {
			i, filled := pos/p.piece, pos%p.piece
			n, err := io.ReadFull(body, buf[filled:p.length(i)])
			pos += int64(n)
			if err != nil {
				return pos > start, transient(fmt.Errorf("%s: the connection ended at byte %d of %d: %w", t.repo.target(t.file), pos, p.fact.size, err))
			}
			fresh, err := p.put(i, buf[:p.length(i)])
			if err != nil {
				return false, p.folder.cache.cacheError(err)
			}
			if fresh {
				c.progress.Add(t.file, p.length(i))
			}
		}
		return true, nil
	})
}

// request asks for bytes from pos to end and returns a body that stands at
// pos. It is the whole rest of the file if the server knows no ranges.
func (t *transfer) request(ctx context.Context, pos, end int64) (body io.ReadCloser, whole bool, err error) {
	header := http.Header{}
	if pos > 0 || end < t.part.fact.size {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", pos, end-1))
	}
	what := t.repo.target(t.file)
	resp, err := t.repo.client.do(ctx, http.MethodGet, t.repo.url(t.file), what, header)
	if err != nil {
		return nil, false, err
	}
	if err = t.checkTag(resp); err == nil {
		err = seek(resp, pos, end, t.part.fact.size)
	}
	if err != nil {
		resp.Body.Close()
		return nil, false, fmt.Errorf("%s: %w", what, err)
	}
	return resp.Body, resp.StatusCode != http.StatusPartialContent, nil
}

// seek checks that an answer is the range from pos to end of a file, or the
// file, and in that case reads its body up to pos.
func seek(resp *http.Response, pos, end, size int64) error {
	if resp.StatusCode == http.StatusPartialContent {
		return checkRange(resp.Header.Get("Content-Range"), pos, end, size)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != size {
		return transient(fmt.Errorf("the server sends %d bytes instead of %d", resp.ContentLength, size))
	}
	if _, err := io.CopyN(io.Discard, resp.Body, pos); err != nil {
		return transient(err)
	}
	return nil
}

// checkTag compares the tag of an answer with that of the answers before.
// Hosts of one network may have tags of their own.
func (t *transfer) checkTag(resp *http.Response) error {
	tag, host := strings.TrimPrefix(resp.Header.Get("ETag"), "W/"), resp.Request.URL.Host
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.etags[host]; before != "" && tag != "" && before != tag {
		return errChanged
	}
	t.etags[host] = tag
	return nil
}

// checkRange compares the header of a partial answer with what was asked.
func checkRange(header string, pos, end, size int64) error {
	var first, last, total int64
	_, err := fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &total)
	if strings.HasSuffix(header, "/*") {
		total = size
		_, err = fmt.Sscanf(header, "bytes %d-%d/", &first, &last)
	}
	if err != nil || first != pos || last != end-1 || total != size {
		return transient(fmt.Errorf("the server sends %q instead of bytes %d-%d/%d", shorten(header), pos, end-1, size))
	}
	return nil
}
