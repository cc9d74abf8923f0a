package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

// partial is a file that is being transferred. It consists of pieces of equal
// size, the last one excepted, which arrive in any order.
type partial struct {
	folder *folder
	fact   fact
	piece  int64
	file   *os.File
	log    *journal

	mu      sync.Mutex
	arrived sync.Cond
	have    []bool // pieces in the file
	claimed []bool // pieces that somebody fetches or has fetched
	bytes   int64  // in pieces that are there
}

func partName(etag string) string    { return blobPath(etag) + ".emily-part" }
func journalName(etag string) string { return blobPath(etag) + ".emily-journal" }

// openPartial opens or creates the partial file of a blob. The caller holds
// the blob's lock. Pieces that the journal has are read and compared with
// their checksums, so what a crash of the system lost is fetched again.
func openPartial(f *folder, b fact, piece int64) (p *partial, err error) {
	p = &partial{folder: f, fact: b, piece: piece}
	p.arrived.L = &p.mu
	n := (b.size + piece - 1) / piece
	p.have, p.claimed = make([]bool, n), make([]bool, n)
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	adopted := p.adopt()
	if p.file, err = f.OpenFile(partName(b.etag), os.O_CREATE|os.O_RDWR, 0o666); err != nil {
		return nil, err
	}
	var entries []entry
	if p.log, entries, err = openJournal(f, journalName(b.etag), b.size, piece); err != nil {
		return nil, err
	}
	if adopted {
		return p, p.takePrefix()
	}
	buf := make([]byte, piece)
	for _, e := range entries {
		data := buf[:p.length(int64(e.piece))]
		_, err := p.file.ReadAt(data, int64(e.piece)*piece)
		if err == nil && checksum(data) == e.sum && !p.have[e.piece] {
			p.mark(int64(e.piece))
		}
	}
	return p, nil
}

// adopt makes what Python's huggingface_hub left of the blob our partial file,
// if we have none.
func (p *partial) adopt() bool {
	if _, err := p.folder.Stat(journalName(p.fact.etag)); err == nil {
		return false
	}
	entries, _ := fs.ReadDir(p.folder.FS(), blobsDir)
	best, size := "", p.piece-1
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), p.fact.etag+".")
		if !ok || !strings.HasSuffix(rest, "incomplete") || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil && info.Size() > size && info.Size() <= p.fact.size {
			best, size = e.Name(), info.Size()
		}
	}
	return best != "" && p.folder.Rename(path.Join(blobsDir, best), partName(p.fact.etag)) == nil
}

// takePrefix counts the whole pieces of an adopted file as there. Whether
// they are right is known when the hash of everything is.
func (p *partial) takePrefix() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	buf := make([]byte, p.piece)
	for i := range int64(len(p.have)) {
		data := buf[:p.length(i)]
		if i*p.piece+int64(len(data)) > info.Size() {
			break
		}
		if _, err := p.file.ReadAt(data, i*p.piece); err != nil {
			return err
		}
		if err := p.log.add(entry{uint32(i), checksum(data)}); err != nil {
			return err
		}
		p.mark(i)
	}
	return nil
}

func (p *partial) mark(i int64) {
	p.have[i], p.claimed[i] = true, true
	p.bytes += p.length(i)
}

// length returns the size of a piece.
func (p *partial) length(i int64) int64 { return min(p.piece, p.fact.size-i*p.piece) }

// claim returns the next range of at most span bytes that nobody fetches yet,
// as pieces from (included) to (excluded).
func (p *partial) claim(span int64) (from, to int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := int64(len(p.claimed))
	for from < n && p.claimed[from] {
		from++
	}
	for to = from; to < n && !p.claimed[to] && (to == from || (to-from+1)*p.piece <= span); to++ {
		p.claimed[to] = true
	}
	return from, to, from < to
}

// claimRest claims everything from a piece to the end, for a server that knows
// no ranges.
func (p *partial) claimRest(from int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := from; i < int64(len(p.claimed)); i++ {
		p.claimed[i] = true
	}
}

// put stores a piece and notes it in the journal. It reports whether the
// piece was not there before.
func (p *partial) put(i int64, data []byte) (fresh bool, err error) {
	p.mu.Lock()
	fresh = !p.have[i]
	p.mu.Unlock()
	if !fresh {
		return false, nil
	}
	if _, err := p.file.WriteAt(data, i*p.piece); err != nil {
		return false, err
	}
	if err := p.log.add(entry{uint32(i), checksum(data)}); err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark(i)
	p.arrived.Broadcast()
	return true, nil
}

// hash reads the pieces in order as they arrive and checks the hash of all.
func (p *partial) hash(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.arrived.Broadcast()
	})()
	d := newDigest(p.fact)
	if d.Hash == nil {
		return nil
	}
	buf := make([]byte, p.piece)
	for i := range int64(len(p.have)) {
		p.mu.Lock()
		for !p.have[i] && ctx.Err() == nil {
			p.arrived.Wait()
		}
		p.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		data := buf[:p.length(i)]
		if _, err := p.file.ReadAt(data, i*p.piece); err != nil && err != io.EOF {
			return err
		}
		d.Write(data)
	}
	return d.check()
}

// finish gives the file its name. Its content is on the disk before that.
func (p *partial) finish() error {
	etag := p.fact.etag
	err := p.file.Truncate(p.fact.size)
	err = errors.Join(err, p.file.Sync(), p.close())
	if err == nil {
		err = p.folder.Rename(partName(etag), blobPath(etag))
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && p.folder.hasBlob(p.fact) {
			return nil // on a file system without locks another process was first
		}
		return fmt.Errorf("naming a complete file: %w", err)
	}
	p.folder.Remove(journalName(etag))
	syncDir(p.folder, blobsDir)
	return nil
}

// remove deletes the file and its journal.
func (p *partial) remove() error {
	p.close()
	err := p.folder.Remove(journalName(p.fact.etag))
	return errors.Join(err, p.folder.Remove(partName(p.fact.etag)))
}

func (p *partial) close() error {
	var err error
	if p.file != nil {
		err = p.file.Close()
	}
	if p.log != nil {
		err = errors.Join(err, p.log.close())
	}
	p.file, p.log = nil, nil
	return err
}

// syncDir makes renames in a folder durable where the system can do that.
func syncDir(f *folder, name string) {
	if dir, err := f.Open(name); err == nil {
		dir.Sync()
		dir.Close()
	}
}
