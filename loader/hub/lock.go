package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lock takes the lock of a blob, the same that Python's huggingface_hub takes:
// of two processes that want the blob, one transfers it and the other waits.
// Where the file system has no locks it returns none; correctness does not
// depend on it, since a blob gets its name only with the right hash.
func (c *Client) lock(ctx context.Context, repo, etag, file string) (unlock func(), err error) {
	path := c.cache.lockPath(repo, etag)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, c.cache.cacheError(err)
	}
	l := flock.New(path, flock.SetPermissions(0o664)) // users may share a cache
	held, err := l.TryLock()
	if errors.Is(err, errors.ErrUnsupported) {
		return func() {}, nil
	}
	if err == nil && !held {
		c.progress.Note(fmt.Sprintf("another process is downloading %s: waiting for it", file))
		_, err = l.TryLockContext(ctx, 50*time.Millisecond)
	}
	switch {
	case ctx.Err() != nil:
		l.Close() // which may have got it
		return nil, ctx.Err()
	case err != nil:
		l.Close()
		return nil, c.cache.cacheError(err)
	}
	// The file stays: to remove it would let two processes lock two files of
	// one name.
	return func() { l.Close() }, nil
}

func (c Cache) lockPath(repo, etag string) string {
	return filepath.Join(c.Dir, locksDir, folderName(repo), etag+".lock")
}
