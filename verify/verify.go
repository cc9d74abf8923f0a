// Package verify compares a model with reference outputs, such as those that
// tools/reference.py writes with transformers: proof that a checkpoint
// computes here what it computes there.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"emily/arch"
	"emily/arch/whisper"
	"emily/backend"
	"emily/loader"
)

// DefaultTolerance is the largest error in f32, as a share of an output's range.
const DefaultTolerance = 5e-5

// Options are the limits of a comparison.
type Options struct {
	// Tolerance is the largest error, as a share of each output's range.
	Tolerance float64
	// Rounded says that activations or the cache are bf16: greedy tokens may then
	// differ where the two best logits are closer than Tolerance of their range.
	Rounded bool
}

// TieGap is the distance of a model's two best logits under which another
// choice than the reference's is a tie: rounding decides it.
const TieGap = 1e-3

// Result is the comparison of one output.
type Result struct {
	Output string `json:"output"` // such as "0.logits"
	// MaxError is the largest absolute error, Share its share of the reference's
	// range (largest minus smallest value). Both are nil for ids and texts.
	MaxError *float64 `json:"max_abs_error,omitempty"`
	Share    *float64 `json:"share_of_range,omitempty"`
	// ArgMax is the share of rows whose largest element is at the same place.
	ArgMax *float64 `json:"argmax_agreement,omitempty"`
	// Equal of Total ids agree before the first that differs.
	Equal int `json:"equal,omitempty"`
	Total int `json:"total,omitempty"`
	// Note explains a tie or a failure.
	Note string `json:"note,omitempty"`
	Pass bool   `json:"pass"`
}

// Report is the comparison of one reference file.
type Report struct {
	Model     string   `json:"model"`
	Reference string   `json:"reference"`
	Results   []Result `json:"results"`
	Pass      bool     `json:"pass"`
}

// Reference is an opened reference: NAME.json and, where it has tensors, NAME.safetensors.
type Reference struct {
	Name    string
	text    []byte
	dir     string
	tensors *loader.Checkpoint // nil without tensors
}

// Open reads a reference.
func Open(ctx context.Context, path string) (*Reference, error) {
	text, err := readLimited(path)
	if err != nil {
		return nil, fmt.Errorf("the reference cannot be read: %w", err)
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%s is not JSON: a reference is NAME.json with NAME.safetensors beside it", path)
	}
	r := &Reference{Name: path, text: text, dir: filepath.Dir(path)}
	tensors := strings.TrimSuffix(path, filepath.Ext(path)) + ".safetensors"
	if _, err := os.Stat(tensors); errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	folder, err := loader.Find(ctx, tensors, loader.Options{})
	if err != nil {
		return nil, err
	}
	if r.tensors, err = folder.Open(); err != nil {
		return nil, err
	}
	return r, nil
}

// maxReference bounds the JSON of a reference.
const maxReference = 64 << 20

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxReference+1))
	if err == nil && len(text) > maxReference {
		err = fmt.Errorf("%s is longer than %d MiB", path, maxReference>>20)
	}
	return text, err
}

// Close unmaps the tensors.
func (r *Reference) Close() error {
	if r.tensors == nil {
		return nil
	}
	return r.tensors.Close()
}

// decode reads the JSON into v.
func (r *Reference) decode(v any) error {
	if err := json.Unmarshal(r.text, v); err != nil {
		return fmt.Errorf("%s is not a reference for this class of model: %s has another form there", r.Name, fieldOf(err))
	}
	return nil
}

// fieldOf names the field that does not fit.
func fieldOf(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return kind.Field
	}
	return "the JSON"
}

// has reports whether there is a tensor of this name.
func (r *Reference) has(name string) bool { return r.tensors != nil && r.tensors.Weight(name) != nil }

// tensor returns a tensor's values and its last dimension.
func (r *Reference) tensor(name string) (values []float32, width int) {
	w := r.tensors.Weight(name)
	values = make([]float32, w.Elements())
	for i := range values {
		switch w.DType {
		case backend.F32:
			values[i] = math.Float32frombits(uint32(w.Data[4*i]) | uint32(w.Data[4*i+1])<<8 | uint32(w.Data[4*i+2])<<16 | uint32(w.Data[4*i+3])<<24)
		case backend.BF16:
			values[i] = math.Float32frombits(uint32(w.Data[2*i])<<16 | uint32(w.Data[2*i+1])<<24)
		}
	}
	width = 1
	if n := len(w.Shape); n > 0 {
		width = w.Shape[n-1]
	}
	return values, width
}

// file finds a file that the reference names: in its folder, then in the parent of that.
func (r *Reference) file(name string) (string, error) {
	for _, dir := range []string{r.dir, filepath.Join(r.dir, "..")} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s names %s, which is neither in its folder nor in the folder above", r.Name, name)
}

// Run compares a model with a reference. Which outputs are compared depends on
// the model's class.
func Run(ctx context.Context, m *arch.Loaded, r *Reference, opt Options) (*Report, error) {
	c := &comparison{Report: Report{Model: m.Folder.Name(), Reference: r.Name, Pass: true}, ref: r, Options: opt, model: m}
	var err error
	switch model := m.Model.(type) {
	case arch.Decoder:
		err = c.decoder(ctx, model)
	case arch.TextEncoder:
		if r.has("embeddings") {
			err = c.embeddings(ctx)
		} else {
			err = c.encoder(ctx, model)
		}
	case arch.ImageEncoder:
		err = c.image(ctx, model)
	case *whisper.Model:
		err = c.speech(ctx, model)
	default:
		err = fmt.Errorf("verify does not know the outputs of %s", m.Class.Name)
	}
	if err != nil {
		return nil, err
	}
	if len(c.Results) == 0 {
		return nil, fmt.Errorf("%s has no output that a %s computes", r.Name, m.Class.Name)
	}
	return &c.Report, nil
}

// comparison is one call of Run.
type comparison struct {
	Report
	Options
	ref   *Reference
	model *arch.Loaded
}

func (c *comparison) add(r Result) {
	c.Results = append(c.Results, r)
	c.Pass = c.Pass && r.Pass
}

// values compares a result with a tensor of the reference, if it has it.
func (c *comparison) values(name string, got []float32) {
	if !c.ref.has(name) {
		return
	}
	want, width := c.ref.tensor(name)
	if len(got) != len(want) {
		c.add(Result{Output: name, Note: fmt.Sprintf("%d values, the reference has %d", len(got), len(want))})
		return
	}
	c.add(compare(name, got, want, width, c.Tolerance))
}

// compare measures the error of rows of width values.
func compare(name string, got, want []float32, width int, tolerance float64) Result {
	worst, low, high := 0.0, math.Inf(1), math.Inf(-1)
	for i, w := range want {
		e := math.Abs(float64(got[i]) - float64(w))
		if !(e <= worst) { // a NaN stays
			worst = e
		}
		low, high = min(low, float64(w)), max(high, float64(w))
	}
	share := 0.0
	if span := high - low; span > 0 {
		share = worst / span
	} else if worst != 0 { // one value, or equal ones: their size stands for the range
		share = worst / max(math.Abs(high), 1)
	}
	r := Result{Output: name, MaxError: &worst, Share: &share, Pass: share <= tolerance}
	if width > 1 && len(want) > 0 {
		same, rows := 0, len(want)/width
		for i := range rows {
			if argMax(got[i*width:(i+1)*width]) == argMax(want[i*width:(i+1)*width]) {
				same++
			}
		}
		agreement := float64(same) / float64(rows)
		r.ArgMax = &agreement
	}
	if worst != worst {
		r.MaxError, r.Share, r.Note = nil, nil, "the result is not a number" // JSON has no NaN
	}
	return r
}

func argMax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// ids compares token ids that must be equal.
func (c *comparison) ids(name string, got, want []int32) {
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	r := Result{Output: name, Equal: n, Total: len(want), Pass: n == len(want) && len(got) == len(want)}
	if !r.Pass {
		r.Note = fmt.Sprintf("differs at %d", n)
	}
	c.add(r)
}
