package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
)

// Reason is why the hub did not give what was asked for.
type Reason int

// The reasons that a program may want to tell apart.
const (
	Failed    Reason = iota // the server or the network failed, also after retries
	Offline                 // requests are forbidden by HF_HUB_OFFLINE
	NotFound                // no such repository, revision or file
	Forbidden               // a token is missing, wrong or lacks the permission
	NoSpace                 // the disk is full
	Corrupt                 // a file's hash was wrong
)

// Error is a refusal of the hub or of the cache. Its message says what to do.
type Error struct {
	// Reason is the kind of the error.
	Reason  Reason
	message string
	cause   error
}

func (e *Error) Error() string { return e.message }

// Unwrap returns the error below, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Is makes a missing file fs.ErrNotExist to errors.Is.
func (e *Error) Is(target error) bool { return e.Reason == NotFound && target == fs.ErrNotExist }

// refusal turns an answer other than success into an error.
func (c *Client) refusal(resp *http.Response, what target) *Error {
	name, revision, file := what.repo, what.revision, what.file
	said := shorten(resp.Header.Get("X-Error-Message"))
	code := resp.Header.Get("X-Error-Code")
	page := c.endpoint + "/" + name
	e := &Error{Reason: Failed}
	switch {
	case code == "GatedRepo" && c.token == "":
		e.Reason = Forbidden
		e.message = fmt.Sprintf("%s is gated: ask for access at %s, then set HF_TOKEN or pass --token with a token from %s/settings/tokens", name, page, c.endpoint)
	case code == "GatedRepo":
		e.Reason = Forbidden
		e.message = fmt.Sprintf("%s is gated, and the token's owner has no access yet: ask for it at %s", name, page)
	case code == "RevisionNotFound":
		e.Reason = NotFound
		e.message = fmt.Sprintf("%s has no revision %s; %s/tree/main lists them", name, revision, page)
	case code == "EntryNotFound" || resp.StatusCode == http.StatusNotFound && file != "":
		e.Reason = NotFound
		e.message = fmt.Sprintf("%s at %s has no file %s", name, revision, file)
	case resp.StatusCode == http.StatusNotFound:
		e.Reason = NotFound
		e.message = fmt.Sprintf("%s has no model %s; check the spelling", c.endpoint, name)
	case resp.StatusCode == http.StatusUnauthorized && c.token == "":
		e.Reason = Forbidden
		e.message = fmt.Sprintf("%s does not exist, or it is private: check the spelling, or set HF_TOKEN or pass --token with a token from %s/settings/tokens", name, c.endpoint)
	case resp.StatusCode == http.StatusUnauthorized:
		e.Reason = Forbidden
		e.message = fmt.Sprintf("%s does not exist, or the token is wrong or has expired: check both at %s/settings/tokens", name, c.endpoint)
	case resp.StatusCode == http.StatusForbidden:
		e.Reason = Forbidden
		e.message = fmt.Sprintf("the access to %s was refused: the token lacks the permission to read it, or the network blocks %s", name, resp.Request.URL.Host)
	default:
		e.message = fmt.Sprintf("%s: %s answered %s", what, resp.Request.URL.Host, resp.Status)
	}
	if said != "" && e.Reason == Failed {
		e.message += ": " + said
	}
	return e
}

// cacheError says what to do about a cache that cannot be written to.
func (c Cache) cacheError(err error) error {
	switch {
	case err == nil:
		return nil
	case isNoSpace(err):
		return &Error{Reason: NoSpace, cause: err, message: fmt.Sprintf("the disk of %s is full; free some space (emily models lists what is cached) and run this again, it continues: %v", c.Dir, err)}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the model cache %s cannot be written to: set HF_HUB_CACHE to a folder that can: %w", c.Dir, err)
	}
	return fmt.Errorf("the model cache %s: %w", c.Dir, err)
}
