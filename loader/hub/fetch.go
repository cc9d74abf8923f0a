package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// blob is a content to fetch and the files that have it.
type blob struct {
	fact
	files     []string
	announced bool // as something to transfer
}

// Fetch puts files of the repository into the cache, those that are not there
// yet. It may be called again after any end, and goes on where it was.
func (r *Repo) Fetch(ctx context.Context, files ...string) error {
	if r.cached(files) {
		return nil // which a cache that cannot be written to allows
	}
	f, err := r.client.cache.open(r.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	blobs, err := r.missing(ctx, f, files)
	if err != nil {
		return err
	}
	if err := r.announce(f, blobs); err != nil {
		return err
	}
	pace := r.client.pace
	slot := semaphore.NewWeighted(int64(pace.connections))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(pace.files)
	for _, b := range blobs {
		g.Go(func() error { return r.fetchBlob(ctx, f, b, slot) })
	}
	return g.Wait()
}

// cached reports whether the snapshot has all files.
func (r *Repo) cached(files []string) bool {
	f, err := r.client.cache.openExisting(r.Name)
	if err != nil {
		return false
	}
	defer f.Close()
	return !slices.ContainsFunc(files, func(name string) bool { return !validFile(name) || !f.hasFile(r.Commit, name) })
}

// missing asks for the hashes of the files that the snapshot lacks, and groups
// the files by them.
func (r *Repo) missing(ctx context.Context, f *folder, files []string) ([]*blob, error) {
	files = slices.Compact(slices.Sorted(slices.Values(files)))
	files = slices.DeleteFunc(files, func(name string) bool { return validFile(name) && f.hasFile(r.Commit, name) })
	known := make([]fact, len(files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.client.pace.connections)
	for i, name := range files {
		g.Go(func() (err error) {
			known[i], err = r.fact(gctx, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var blobs []*blob
	byTag := make(map[string]*blob)
	for i, name := range files {
		b := byTag[known[i].etag]
		if b == nil {
			b = &blob{fact: known[i]}
			byTag[b.etag] = b
			blobs = append(blobs, b)
		}
		if b.size != known[i].size {
			return nil, fmt.Errorf("%s: %s and %s have the same hash but other sizes", r.Name, b.files[0], name)
		}
		b.files = append(b.files, name)
	}
	return blobs, nil
}

// announce checks that the disk has room for the blobs, and tells their size.
func (r *Repo) announce(f *folder, blobs []*blob) error {
	var size, have int64
	count := 0
	for _, b := range blobs {
		if !f.hasBlob(b.fact) {
			b.announced = true
			count++
			size += b.size
			have += journaled(f, b.fact, r.client.pace.piece)
		}
	}
	if count == 0 {
		return nil
	}
	if free, err := freeSpace(f.Name()); err == nil && size-have > free {
		return &Error{Reason: NoSpace, message: fmt.Sprintf("%s needs %.2f GB more and the disk of %s has %.2f GB free: free some space (emily models lists what is cached), or set HF_HUB_CACHE to another disk",
			r.Name, float64(size-have)/1e9, f.cache.Dir, float64(free)/1e9)}
	}
	r.client.progress.Begin(count, size)
	return nil
}

// fetchBlob puts one content into the cache and names its files.
func (r *Repo) fetchBlob(ctx context.Context, f *folder, b *blob, slot *semaphore.Weighted) error {
	unlock, err := r.client.lock(ctx, r.Name, b.etag, b.files[0])
	if err != nil {
		return err
	}
	defer unlock()
	files := slices.DeleteFunc(slices.Clone(b.files), func(name string) bool { return f.hasFile(r.Commit, name) })
	if len(files) == 0 || f.hasBlob(b.fact) {
		if b.announced { // another process was first
			r.client.progress.Start(b.files[0], b.size, b.size)
		}
		f.Remove(journalName(b.etag)) // of a writer that died after its last step but one
	} else if err := r.download(ctx, f, b, slot); err != nil {
		return err
	}
	r.client.progress.Done(b.files[0])
	return f.place(b.etag, r.Commit, files)
}

// download transfers a blob. What an earlier call or another program left may
// be wrong; then everything is fetched once more.
func (r *Repo) download(ctx context.Context, f *folder, b *blob, slot *semaphore.Weighted) error {
	const attempts = 3
	progress := r.client.progress
	if have := journaled(f, b.fact, r.client.pace.piece); have > 512<<20 {
		progress.Note(fmt.Sprintf("%s: checking the %.1f GB that are there", b.files[0], float64(have)/1e9))
	}
	for n := 1; ; n++ {
		p, err := openPartial(f, b.fact, r.client.pace.piece)
		if err != nil {
			return f.cache.cacheError(err)
		}
		before := p.bytes
		progress.Start(b.files[0], b.size, before)
		t := &transfer{repo: r, file: b.files[0], part: p, slot: slot}
		err = t.run(ctx)
		switch {
		case err == nil:
			return f.cache.cacheError(p.finish())
		case errors.Is(err, errChanged) && n < attempts, errors.Is(err, errHash) && before > 0 && n < attempts:
			progress.Note(fmt.Sprintf("%s: %v; starting it again", b.files[0], err))
			progress.Add(b.files[0], -p.bytes)
			if err := p.remove(); err != nil {
				return f.cache.cacheError(err)
			}
		case errors.Is(err, errHash):
			p.remove()
			return &Error{Reason: Corrupt, cause: err, message: fmt.Sprintf("%s: %v; it was removed, run this again", r.target(b.files[0]), err)}
		case errors.Is(err, errChanged):
			p.remove()
			return &Error{Reason: Failed, cause: err, message: fmt.Sprintf("%s: %v; run this again", r.target(b.files[0]), err)}
		default:
			p.close()
			return err
		}
	}
}
