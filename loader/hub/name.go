package hub

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

var (
	repoName = regexp.MustCompile(`^(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}$`)
	commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sha256ID = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// etagID is what may become a file name. It excludes everything that has a
	// meaning in paths on any system, and our own and others' suffixes.
	etagID = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,127}$`)
)

// ValidName reports whether s may name a repository: org/name, or name alone
// for the oldest ones.
func ValidName(s string) bool {
	return repoName.MatchString(s) && !strings.Contains(s, "--") && !strings.Contains(s, "..")
}

// IsCommit reports whether s is a commit: 40 hexadecimal digits.
func IsCommit(s string) bool { return commitID.MatchString(s) }

// ValidRevision reports whether s may be a branch, a tag or a commit. It is
// used as a path below refs.
func ValidRevision(s string) bool { return len(s) <= 255 && validFile(s) }

// validFile reports whether s may name a file below a folder on every system:
// slash-separated parts that lead nowhere else.
func validFile(s string) bool {
	if !fs.ValidPath(s) || s == "." || len(s) > 1024 {
		return false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || strings.ContainsRune(`\:*?"<>|`, r) || r == 0x7f }) {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") || len(part) > 255 || reserved(part) {
			return false
		}
	}
	return true
}

// reserved reports whether Windows takes a name for a device.
func reserved(part string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(part), ".")
	switch strings.TrimRight(stem, " ") {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9'
}

// parseETag returns the tag of a header without its quotes: the name of a blob.
func parseETag(header string) (string, error) {
	tag := strings.Trim(strings.TrimPrefix(strings.TrimSpace(header), "W/"), `"`)
	if !etagID.MatchString(tag) {
		return "", fmt.Errorf("the server's hash of it, %q, is not one", shorten(header))
	}
	return tag, nil
}

// shorten cuts what a server says to a length that fits an error message.
func shorten(s string) string {
	const limit = 80
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
