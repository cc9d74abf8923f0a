package loader

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"emily/loader/hub"
)

// besides are the files that go with the weights, where a model has them.
var besides = []string{
	"config.json", "generation_config.json",
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
	"preprocessor_config.json", "processor_config.json",
	"modules.json", "sentence_bert_config.json", "1_Pooling/config.json",
}

// foreign are suffixes of files that are never fetched: other formats of the
// weights, some of which run code when they are read.
var foreign = []string{".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf", ".h5", ".msgpack", ".pkl", ".pickle"}

// Pull asks the hub for org/name or org/name@revision, fetches what the cache
// lacks and returns the folder in the cache. It fetches config.json, then the
// safetensors and the small files that go with them, or with patterns, as
// path.Match has them, the files whose path or base name matches one. After
// any end it may be called again and goes on where it was.
func Pull(ctx context.Context, ref string, o Options, patterns ...string) (*Folder, error) {
	repo, err := askHub(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	var files []string
	if len(patterns) > 0 {
		files, err = matching(repo, patterns)
	} else {
		files, err = needed(ctx, repo, o)
	}
	if err != nil {
		return nil, err
	}
	if err := repo.Fetch(ctx, files...); err != nil {
		return nil, err
	}
	if err := repo.Publish(besides...); err != nil {
		return nil, err
	}
	f := fromDir(repo.Path(), repo.Name)
	f.revision = repo.Commit
	return f, nil
}

// Remote returns a folder whose files are on the hub: what is read of them is
// transferred, in ranges, and not stored. Config and Tensors are made for it;
// Open would transfer all weights into memory. The context covers all reads.
func Remote(ctx context.Context, ref string, o Options) (*Folder, error) {
	repo, err := askHub(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	return remote(ctx, repo), nil
}

// Peek returns a folder to look into: what Find finds without a download, if
// it has the weights, else what Remote returns.
func Peek(ctx context.Context, ref string, o Options) (*Folder, error) {
	o.Download = false
	found, err := Find(ctx, ref, o)
	if _, _, ok := splitRef(ref); !ok || looksLikePath(ref) || err == nil && (found.Revision() == "" || found.hasWeights()) {
		return found, err
	}
	f, remoteErr := Remote(ctx, ref, o)
	if reasonOf(remoteErr) == hub.Offline {
		return found, err
	}
	return f, remoteErr
}

func remote(ctx context.Context, repo *hub.Repo) *Folder {
	return &Folder{fsys: repo.FS(ctx), name: repo.Name, revision: repo.Commit, remote: true}
}

// askHub resolves a reference on the hub.
func askHub(ctx context.Context, ref string, o Options) (*hub.Repo, error) {
	name, revision, ok := splitRef(ref)
	if !ok || looksLikePath(ref) {
		return nil, fmt.Errorf("%s is not a model of the hub: name it as org/name or org/name@revision", ref)
	}
	client, err := hub.New(hub.Options{Getenv: o.Getenv, Token: o.Token, Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	repo, err := client.Repo(ctx, name, revision)
	if r := reasonOf(err); r == hub.NotFound || r == hub.Forbidden {
		if guess := newCache(o).guess(name); guess != "" {
			err = fmt.Errorf("%w; did you mean %s?", err, guess)
		}
	}
	return repo, err
}

// needed returns the files that a model consists of.
func needed(ctx context.Context, repo *hub.Repo, o Options) ([]string, error) {
	f := remote(ctx, repo)
	first := []string{"config.json"}
	if !repo.Has(singleFile) {
		first = append(first, indexFile)
	}
	first = slices.DeleteFunc(first, func(name string) bool { return !repo.Has(name) })
	if err := repo.Fetch(ctx, first...); err != nil {
		return nil, err
	}
	weights, _, err := f.weightFiles()
	if err != nil {
		return nil, err
	}
	config, err := f.Config()
	if err != nil {
		return nil, err
	}
	if o.Accept != nil {
		if err := o.Accept(config); err != nil {
			return nil, fmt.Errorf("%s: %w", repo.Name, err)
		}
	}
	files := slices.DeleteFunc(slices.Clone(besides), func(name string) bool { return !repo.Has(name) })
	return slices.Concat(files, first, weights), nil
}

// matching returns the files that patterns select.
func matching(repo *hub.Repo, patterns []string) (files []string, err error) {
	refused := 0
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("%q is not a pattern: *, ? and [a-z] are", pattern)
		}
		found := 0
		for _, name := range repo.Files {
			whole, _ := path.Match(pattern, name)
			base, _ := path.Match(pattern, path.Base(name))
			switch {
			case !whole && !base:
			case slices.Contains(foreign, strings.ToLower(path.Ext(name))):
				refused++
			default:
				files = append(files, name)
				found++
			}
		}
		if found == 0 && refused == 0 {
			return nil, fmt.Errorf("%s has no file that %q matches", repo.Name, pattern)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: only safetensors and the files beside them are fetched, not %s", repo.Name, strings.Join(patterns, ", "))
	}
	return files, nil
}

// complete reports whether nothing seems to be missing in a snapshot: the
// configuration, the weights, and a tokenizer or a preprocessor unless the hub
// is known to have no tokenizer.
func (c cache) complete(f *Folder) bool {
	return f.hasWeights() && (f.Has("tokenizer.json") || f.Has("preprocessor_config.json") ||
		c.Absent(f.name, f.revision, "tokenizer.json"))
}

func (f *Folder) hasWeights() bool {
	if !f.Has("config.json") {
		return false
	}
	files, _, err := f.weightFiles()
	return err == nil && !slices.ContainsFunc(files, func(name string) bool { return !f.Has(name) })
}

// reasonOf returns the reason of an error of the hub, else -1.
func reasonOf(err error) hub.Reason {
	var refused *hub.Error
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return -1
}
