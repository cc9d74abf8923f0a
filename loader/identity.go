package loader

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
)

// blobName is what the Hugging Face cache names the content of large files by: its SHA-256.
var blobName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// identity returns a word that stands for the content of a safetensors file.
// In the Hugging Face cache that is the hash in its name; of other files it is
// a hash of where and how large the file is, when it was changed, and its
// header. It is "" for a file that is not on disk.
func identity(file fs.File, path string) string {
	if path == "" {
		return ""
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	name := filepath.Base(path)
	if filepath.Base(filepath.Dir(path)) == "blobs" && blobName.MatchString(name) {
		return name
	}
	info, err := file.Stat()
	at, seekable := file.(io.ReaderAt)
	if err != nil || !seekable {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%d\n", place(path, info), info.Size(), info.ModTime().UnixNano())
	const header = 1 << 20 // as much of it as matters: tensors and the start of their data
	if _, err := io.Copy(h, io.NewSectionReader(at, 0, header)); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
