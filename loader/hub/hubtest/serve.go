package hubtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// fault counts a request and returns what is to go wrong with it.
func (s *Server) fault(kind Kind, file string) *Fault {
	r := Request{kind, file}
	s.mu.Lock()
	before := s.counts[r]
	s.counts[r]++
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		if f := fail(r, before); f != nil {
			return f
		}
	}
	return &Fault{}
}

// early answers a request that goes wrong before there is content.
func early(w http.ResponseWriter, r *http.Request, f *Fault) (done bool) {
	for name, value := range f.Header {
		w.Header().Set(name, value)
	}
	switch {
	case f.Loop:
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
	case f.HTML:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!DOCTYPE html><html><body>Please log in</body></html>")
	case f.Status != 0:
		w.WriteHeader(f.Status)
	default:
		return false
	}
	return true
}

// serveHub answers /api/models/NAME/revision/REV, /api/models/NAME/tree/REV,
// /NAME/resolve/REV/FILE and /api/resolve-cache/models/NAME/REV/FILE.
func (s *Server) serveHub(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if rest, ok := strings.CutPrefix(path, "api/models/"); ok {
		for _, kind := range []string{"/revision/", "/tree/"} {
			if name, revision, ok := strings.Cut(rest, kind); ok {
				s.serveAPI(w, r, kind, name, revision)
				return
			}
		}
	}
	cached := false
	if rest, ok := strings.CutPrefix(path, "api/resolve-cache/models/"); ok {
		cached = true
		parts := strings.SplitN(rest, "/", 4)
		path = strings.Join(parts[:2], "/") + "/resolve/" + strings.Join(parts[2:], "/")
	}
	name, rest, ok := strings.Cut(path, "/resolve/")
	revision, file, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		http.NotFound(w, r)
		return
	}
	m := s.model(w, r, name, revision)
	if m == nil {
		return
	}
	file, _ = url.PathUnescape(file)
	s.serveFile(w, r, m, name, file, cached)
}

// model returns a model, or answers why not.
func (s *Server) model(w http.ResponseWriter, r *http.Request, name, revision string) *model {
	revision, _ = url.PathUnescape(revision)
	s.mu.Lock()
	m := s.models[name]
	s.mu.Unlock()
	refuse := func(status int, code, message string) *model {
		w.Header().Set("X-Error-Code", code)
		w.Header().Set("X-Error-Message", message)
		w.WriteHeader(status)
		return nil
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case m == nil && token == "":
		return refuse(http.StatusUnauthorized, "", "Invalid username or password.")
	case m == nil:
		return refuse(http.StatusNotFound, "RepoNotFound", "Repository not found")
	case m.gated != "" && token == "":
		return refuse(http.StatusUnauthorized, "GatedRepo", "Access to model is restricted.")
	case m.gated != "" && token != m.gated:
		return refuse(http.StatusForbidden, "GatedRepo", "Access to model is restricted and you are not in the authorized list.")
	case revision != "main" && revision != m.commit:
		return refuse(http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
	}
	return m
}

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, kind, name, revision string) {
	if early(w, r, s.fault(API, "")) {
		return
	}
	m := s.model(w, r, name, revision)
	if m == nil {
		return
	}
	type large struct {
		OID     string `json:"oid"`
		Size    int    `json:"size"`
		Pointer int    `json:"pointerSize"`
	}
	type sibling struct {
		Name string `json:"rfilename"`
	}
	type entry struct {
		Type string `json:"type"`
		Path string `json:"path"`
		Size int    `json:"size"`
		OID  string `json:"oid"`
		LFS  *large `json:"lfs,omitempty"`
	}
	siblings, entries := []sibling{}, []entry{}
	for _, path := range slices.Sorted(maps.Keys(m.files)) {
		f := m.files[path]
		siblings = append(siblings, sibling{path})
		e := entry{Type: "file", Path: path, Size: len(f.data), OID: f.gitID}
		if f.sha256 != "" {
			e.LFS = &large{f.sha256, len(f.data), 130}
		}
		entries = append(entries, e)
	}
	w.Header().Set("Content-Type", "application/json")
	if kind == "/tree/" {
		json.NewEncoder(w).Encode(entries)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"id": name, "modelId": name, "sha": m.commit, "siblings": siblings, "private": false, "tags": []string{}, "downloads": 0})
}

// serveFile answers for a file: small ones by a relative redirect and then
// directly, large ones by a redirect to the storage.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, m *model, name, path string, cached bool) {
	f, found := m.files[path]
	w.Header().Set("X-Repo-Commit", m.commit)
	if !found {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.Header().Set("X-Error-Message", "Entry not found")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if f.sha256 == "" && !cached {
		target := "/api/resolve-cache/models/" + name + "/" + m.commit + "/" + url.PathEscape(path)
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
		return
	}
	kind := Get
	if r.Method == http.MethodHead {
		kind = Head
	}
	fault := s.fault(kind, path)
	if f.sha256 != "" {
		w.Header().Set("X-Linked-Etag", `"`+f.sha256+`"`)
		if !fault.NoSize {
			w.Header().Set("X-Linked-Size", fmt.Sprint(len(f.data)))
		}
		w.Header().Set("X-Xet-Ignored", "1")
		if !early(w, r, fault) {
			http.Redirect(w, r, s.store.URL+"/"+m.commit+"/"+name+"/"+url.PathEscape(path)+"?signature=secret", http.StatusFound)
		}
		return
	}
	w.Header().Set("ETag", `"`+f.gitID+`"`)
	if !early(w, r, fault) {
		s.send(w, r, path, f.data, fault)
	}
}

func (s *Server) serveStore(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 4)
	if len(parts) != 4 {
		http.NotFound(w, r)
		return
	}
	path := parts[3]
	s.mu.Lock()
	if token := r.Header.Get("Authorization"); token != "" {
		s.leaked = append(s.leaked, token)
	}
	m := s.models[parts[1]+"/"+parts[2]]
	s.mu.Unlock()
	if m == nil {
		http.NotFound(w, r)
		return
	}
	f := m.files[path]
	fault := s.fault(Store, path)
	w.Header().Set("ETag", `"storage-`+f.gitID[:8]+`"`)
	if !early(w, r, fault) {
		s.send(w, r, path, f.data, fault)
	}
}

// send sends content or the range of it that is asked for.
func (s *Server) send(w http.ResponseWriter, r *http.Request, path string, data []byte, fault *Fault) {
	h := w.Header()
	status, body := http.StatusOK, data
	var from, to int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n == 2 && !fault.Whole {
		if from >= len(data) || to < from {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		to = min(to, len(data)-1)
		status, body = http.StatusPartialContent, data[from:to+1]
		if h.Get("Content-Range") == "" {
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
		}
	}
	switch {
	case fault.Longer > 0:
		body = append(slices.Clone(body), make([]byte, fault.Longer)...)
	case fault.Longer < 0:
		body = body[:max(len(body)+int(fault.Longer), 0)]
	}
	if !fault.NoSize {
		h.Set("Content-Length", fmt.Sprint(len(body)))
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if fault.Flip && len(body) > 0 {
		body = slices.Clone(body)
		body[0] ^= 1
	}
	end := len(body)
	if stop := max(fault.Cut, fault.Stall); stop > 0 {
		end = min(end, int(stop))
	}
	s.mu.Lock()
	sent, chunk := s.sent, 1<<20
	s.mu.Unlock()
	if sent != nil || fault.Slow > 0 {
		chunk = 16 << 10
	}
	for at := 0; at < end; at += chunk {
		n, err := w.Write(body[at:min(at+chunk, end)])
		total := s.count(path, int64(n))
		if sent != nil {
			sent(total)
		}
		if err != nil {
			return
		}
		if fault.Slow > 0 {
			w.(http.Flusher).Flush()
			time.Sleep(fault.Slow)
		}
	}
	switch {
	case fault.Cut > 0 && end < len(body):
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case fault.Stall > 0 && end < len(body):
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

// count counts bytes that were sent, and returns how many were in all.
func (s *Server) count(path string, n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes[path] += n
	return s.total.Add(n)
}
