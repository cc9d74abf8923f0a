package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"emily/loader"
	"emily/tools/randommodel/random"
)

// seed of random weights: every machine measures the same ones.
const seed = 1

// Folders below Config.Cache.
const (
	weightsFolder   = "weights"   // checkpoints with random weights
	convertedFolder = "converted" // what peers made of them
	scriptsFolder   = "scripts"   // the peers' scripts
	peersFolder     = "peers"     // the peers' virtual environment
)

// DefaultCache is emily's folder for benchmarks in the user's cache folder.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", unusable(err)
	}
	return filepath.Join(dir, "emily", "bench"), nil
}

// cacheFolder makes the folder of a name below Config.Cache.
func (c *Config) cacheFolder(name string) (string, error) {
	if c.Cache == "" {
		return "", unusable(errors.New("there is no cache folder"))
	}
	dir := filepath.Join(c.Cache, name)
	return dir, unusable(os.MkdirAll(dir, 0o755))
}

// unusable says what to do about an error of the cache folder; nil stays nil.
func unusable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: set XDG_CACHE_HOME to a folder that can be written", err)
}

// Clean removes the random weights and what peers converted. It leaves the
// peers' virtual environment.
func Clean(cache string) error {
	var errs []error
	for _, name := range []string{weightsFolder, convertedFolder, scriptsFolder} {
		errs = append(errs, os.RemoveAll(filepath.Join(cache, name)))
	}
	return errors.Join(errs...)
}

// findModel returns the folder of a tier's checkpoint. It writes random
// weights if they are wanted, and downloads nothing.
func (c *Config) findModel(ctx context.Context, p *checkpoint) (string, error) {
	switch {
	case c.Model != "":
		return folderOf(ctx, c.Model)
	case c.RandomWeights:
		return c.writeRandom(ctx, p.random)
	}
	dir, err := folderOf(ctx, p.repo)
	if err != nil {
		return "", fmt.Errorf("there is no %s here: get it with emily pull %s, name a copy with --model, or add --random-weights", p.repo, p.repo)
	}
	return dir, nil
}

func folderOf(ctx context.Context, ref string) (string, error) {
	folder, err := loader.Find(ctx, ref, loader.Options{})
	if err != nil {
		return "", err
	}
	return filepath.Abs(folder.Path())
}

// writeRandom makes the folder of a model with random weights, once.
func (c *Config) writeRandom(ctx context.Context, name string) (string, error) {
	path, err := c.cacheFolder(filepath.Join(weightsFolder, name))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(path, "model.safetensors")); err == nil {
		return path, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", unusable(err)
	}
	model, err := random.Named(name)
	if err != nil {
		return "", err
	}
	free, err := freeDisk(path)
	if err != nil {
		return "", err
	}
	const reserve = 1e9
	if need := model.Bytes(); free < need+reserve {
		return "", fmt.Errorf("random weights of %s take %s, but %s has only %s free: set XDG_CACHE_HOME to a folder with more", name, gigabytes(need), path, gigabytes(free))
	}
	if err := model.Write(ctx, path, seed); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", unusable(err)
	}
	return path, nil
}

// modelSize is the bytes of a checkpoint's weights and the number of its parameters.
func modelSize(ctx context.Context, dir string) (bytes, parameters int64, err error) {
	folder, err := loader.Find(ctx, dir, loader.Options{})
	if err != nil {
		return 0, 0, err
	}
	list, err := folder.Tensors()
	if err != nil {
		return 0, 0, err
	}
	for _, t := range list {
		bytes += t.Bytes
		if t.Float() {
			parameters += t.Elements()
		}
	}
	return bytes, parameters, nil
}

func gigabytes(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }
