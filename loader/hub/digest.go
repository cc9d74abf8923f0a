package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// digest computes what a blob's name promises: the SHA-256 of a file in large
// storage, or Git's hash of a blob, the SHA-1 of "blob SIZE\x00" and the
// content. A mirror may use other names; then there is nothing to compute.
type digest struct {
	hash.Hash
	want string
}

func newDigest(f fact) digest {
	switch {
	case sha256ID.MatchString(f.etag):
		return digest{sha256.New(), f.etag}
	case commitID.MatchString(f.etag):
		h := sha1.New()
		fmt.Fprintf(h, "blob %d\x00", f.size)
		return digest{h, f.etag}
	}
	return digest{}
}

// check compares the hash of everything written with the name.
func (d digest) check() error {
	if d.Hash == nil {
		return nil
	}
	if have := hex.EncodeToString(d.Sum(nil)); have != d.want {
		return fmt.Errorf("%w: it should have hash %s and has %s", errHash, d.want, have)
	}
	return nil
}
