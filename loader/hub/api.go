package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	maxListing = 64 << 20 // bytes of the answer that lists a repository
	maxFiles   = 100_000
	maxSize    = 8 << 40 // bytes of one file
	maxOther   = 1 << 30 // bytes of a file that holds no weights
)

// Repo is one commit of a repository of the hub.
type Repo struct {
	// Name is org/name; Revision is what was asked for, such as main; Commit is
	// what it stands for.
	Name, Revision, Commit string
	// Files are the names of the files, slash-separated and sorted. Names that
	// no file of the cache can have are left out.
	Files []string

	client *Client
	facts  facts
}

// Repo asks the hub for a repository at a revision, a branch, tag or commit.
// "" is the branch main.
func (c *Client) Repo(ctx context.Context, name, revision string) (*Repo, error) {
	if revision == "" {
		revision = "main"
	}
	if !ValidName(name) {
		return nil, fmt.Errorf("%q is not a model: expected org/name", shorten(name))
	}
	if !ValidRevision(revision) {
		return nil, fmt.Errorf("%s@%s: not a revision: expected a branch, a tag or a commit of 40 hexadecimal digits", name, shorten(revision))
	}
	if c.offline {
		return nil, &Error{Reason: Offline, message: fmt.Sprintf("%s cannot be asked for: HF_HUB_OFFLINE forbids it", name)}
	}
	address := c.endpoint + "/api/models/" + name + "/revision/" + url.PathEscape(revision)
	text, err := c.get(ctx, address, target{name, revision, ""})
	if err != nil {
		return nil, err
	}
	r := &Repo{Name: name, Revision: revision, client: c}
	if r.Commit, r.Files, err = parseListing(text); err != nil {
		return nil, fmt.Errorf("%s: the answer of %s: %w", name, address, err)
	}
	if IsCommit(revision) && r.Commit != revision {
		return nil, fmt.Errorf("%s: %s answered with commit %s", name, address, r.Commit)
	}
	return r, nil
}

// get returns the body of an answer in JSON.
func (c *Client) get(ctx context.Context, address string, what target) (text []byte, err error) {
	err = c.retry(ctx, func() (bool, error) {
		resp, err := c.do(ctx, http.MethodGet, address, what, nil)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		text, err = io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
		if err != nil {
			return false, transient(err)
		}
		if len(text) > maxListing {
			return false, fmt.Errorf("%s: the answer of %s has more than %d bytes", what, address, maxListing)
		}
		return true, nil
	})
	return text, err
}

// parseListing reads the hub's description of a repository at a revision.
func parseListing(text []byte) (commit string, files []string, err error) {
	var listing struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
		} `json:"siblings"`
	}
	if err := json.Unmarshal(text, &listing); err != nil {
		if strings.HasPrefix(string(bytes.TrimSpace(text)), "<") {
			return "", nil, errors.New("it is a web page instead of JSON; check HF_ENDPOINT, or whether the network asks for a login")
		}
		return "", nil, fmt.Errorf("it is not the hub's JSON: %w", err)
	}
	if !IsCommit(listing.SHA) {
		return "", nil, fmt.Errorf("its commit is %q instead of 40 hexadecimal digits", shorten(listing.SHA))
	}
	if len(listing.Siblings) > maxFiles {
		return "", nil, fmt.Errorf("it lists %d files, more than %d", len(listing.Siblings), maxFiles)
	}
	for _, s := range listing.Siblings {
		if validFile(s.Name) {
			files = append(files, s.Name)
		}
	}
	slices.Sort(files)
	return listing.SHA, slices.Compact(files), nil
}

// Has reports whether the repository has a file.
func (r *Repo) Has(name string) bool {
	_, found := slices.BinarySearch(r.Files, name)
	return found
}

// Path returns the folder of the repository's files in the cache. It holds
// those that were fetched.
func (r *Repo) Path() string { return r.client.cache.snapshot(r.Name, r.Commit) }

// url returns the address of a file's content at the commit.
func (r *Repo) url(file string) string {
	parts := strings.Split(file, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return r.client.endpoint + "/" + r.Name + "/resolve/" + r.Commit + "/" + strings.Join(parts, "/")
}
