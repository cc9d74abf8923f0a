package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// weightFiles returns the names of the files that hold the weights and, for a
// sharded checkpoint, the index: tensor name to file name.
func (f *Folder) weightFiles() (files []string, index map[string]string, err error) {
	if f.only != "" {
		return []string{f.only}, nil, nil
	}
	if f.Has(singleFile) {
		return []string{singleFile}, nil, nil
	}
	if f.Has(indexFile) {
		return f.shards()
	}
	entries, err := fs.ReadDir(f.fsys, ".")
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.place("."), reason(err))
	}
	var others []string
	for _, e := range entries {
		switch path.Ext(e.Name()) {
		case ".safetensors":
			files = append(files, e.Name())
		case ".gguf", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ckpt":
			others = append(others, e.Name())
		}
	}
	switch {
	case len(files) > 0 && shardName.MatchString(files[0]):
		return nil, nil, fmt.Errorf("%s has shards (%s) but no %s", f.place("."), files[0], indexFile)
	case len(files) == 1:
		return files, nil, nil
	case len(files) > 1:
		return nil, nil, fmt.Errorf("%s has several safetensors files (%s): name the one you mean", f.place("."), listed(files, 4))
	case len(others) > 0:
		return nil, nil, fmt.Errorf("%s has no safetensors, only %s: safetensors are needed, as most models on the Hugging Face Hub have them",
			f.place("."), listed(others, 4))
	}
	return nil, nil, fmt.Errorf("%s has no %s or other safetensors", f.place("."), singleFile)
}

// shards reads the index of a sharded checkpoint.
func (f *Folder) shards() (files []string, index map[string]string, err error) {
	text, err := f.ReadFile(indexFile)
	if err != nil {
		return nil, nil, err
	}
	index, err = parseIndex(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.place(indexFile), err)
	}
	for _, file := range index {
		files = append(files, file)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	if missing := missingFromSeries(files); len(missing) > 0 {
		return nil, nil, fmt.Errorf("%s does not mention %s", f.place(indexFile), listed(missing, 4))
	}
	missing := slices.DeleteFunc(slices.Clone(files), f.Has)
	if len(missing) > 0 {
		return nil, nil, fmt.Errorf("%s lacks %d of %d shards (%s); download it again", f.place("."), len(missing), len(files), listed(missing, 4))
	}
	return files, index, nil
}

// parseIndex reads model.safetensors.index.json: an object whose weight_map
// names a file of the same folder for every tensor.
func parseIndex(text []byte) (map[string]string, error) {
	var index map[string]string
	err := scanObject(text, func(s *scanner, name string) error {
		if name != "weight_map" {
			return s.skip()
		}
		index = make(map[string]string)
		return s.object(name, func(tensor string) error {
			file, err := s.text("the file of a tensor")
			if err != nil {
				return err
			}
			if file != path.Base(file) || !fs.ValidPath(file) || strings.ContainsAny(file, "\\:\x00") || path.Ext(file) != ".safetensors" {
				return fmt.Errorf("tensor %q is said to be in %q, which is not the name of a safetensors file in the same folder",
					shorten(tensor), shorten(file))
			}
			index[tensor] = file
			return nil
		})
	})
	if err == nil && len(index) == 0 {
		err = errors.New("it has no weight_map with tensors")
	}
	return index, err
}

// shardName is how transformers names the parts of a checkpoint.
var shardName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.safetensors$`)

// missingFromSeries returns the names that are absent between the first and
// the last of files named like model-00001-of-00002.safetensors.
func missingFromSeries(files []string) (missing []string) {
	parts := shardName.FindStringSubmatch(files[0])
	if parts == nil {
		return nil
	}
	count, err := strconv.Atoi(parts[3])
	if err != nil {
		return nil
	}
	for i := 1; i <= count; i++ {
		name := fmt.Sprintf("%s-%05d-of-%s.safetensors", parts[1], i, parts[3])
		if _, found := slices.BinarySearch(files, name); !found {
			missing = append(missing, name)
		}
	}
	return missing
}

// listed joins the first few names and says how many more there are.
func listed(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}
