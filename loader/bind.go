package loader

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"emily/backend"
)

// Bind fills the struct that dst points to with the weights of a checkpoint.
// Tags name the tensors and state their shapes in the config's terms:
//
//	type layer struct {
//		Q     *backend.Weight `tensor:"attn.q_proj.weight" shape:"heads*head_dim,hidden"`
//		QBias *backend.Weight `tensor:"attn.q_proj.bias,optional" shape:"heads*head_dim"`
//		Norm  *backend.Weight `tensor:"LayerNorm.weight|LayerNorm.gamma" shape:"hidden"`
//	}
//	type weights struct {
//		Embed  *backend.Weight `tensor:"model.embed_tokens.weight" shape:"vocab,hidden"`
//		Layers []layer         `tensor:"model.layers"`
//		Head   *backend.Weight `tensor:"lm_head.weight" shape:"vocab,hidden" when:"untied"`
//	}
//
// A weight's tag has its name, alternative names after |, and ",optional" if
// it may be absent, which leaves the field nil. Its shape has one entry per
// dimension, each a sum of products of numbers and of names in dims. With a
// when tag the weight is required if dims[when] is not 0 and else not bound.
//
// A struct or a slice of structs extends the path of its fields: the Q above
// is model.layers.3.attn.q_proj.weight in Layers[3]. The caller sets the
// length of slices. An empty tag on a struct adds nothing to the path; fields
// without a tag are left alone. The prefix, if any, starts every path.
//
// What the checkpoint lacks or has differently is reported at once, in a
// *BindError. A mistake in a tag is another error, which names the field.
func Bind(c *Checkpoint, prefix string, dst any, dims map[string]int) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("loader.Bind needs a pointer to a struct, got %T", dst)
	}
	b := &binder{c: c, dims: dims, faults: BindError{Checkpoint: c.folder.name}}
	if err := b.fields(v.Elem(), prefix); err != nil {
		return err
	}
	if b.faults.count() > 0 {
		return &b.faults
	}
	return nil
}

// BindError lists everything that keeps a checkpoint from being the model that
// its config.json describes.
type BindError struct {
	// Checkpoint is the name of the model's folder.
	Checkpoint string
	// Missing are names of absent tensors.
	Missing []string
	// Shape are tensors of another shape than the configuration asks for.
	Shape []ShapeFault
	// DType are tensors whose element type cannot be computed with.
	DType []Tensor
}

// ShapeFault is a tensor of the wrong shape.
type ShapeFault struct {
	// Tensor is the tensor's name.
	Tensor string
	// Have is its shape, Want the one the configuration asks for.
	Have, Want []int
}

func (e *BindError) count() int { return len(e.Missing) + len(e.Shape) + len(e.DType) }

// Lines returns one line for every fault.
func (e *BindError) Lines() []string {
	var lines []string
	for _, name := range e.Missing {
		lines = append(lines, name+" is missing")
	}
	for _, f := range e.Shape {
		lines = append(lines, fmt.Sprintf("%s has shape %v, the configuration asks for %v", f.Tensor, f.Have, f.Want))
	}
	for _, t := range e.DType {
		lines = append(lines, fmt.Sprintf("%s is stored as %s, only F32, BF16 and F16 can be used", t.Name, t.DType))
	}
	return lines
}

// Error names the first few faults in one line and counts the others.
func (e *BindError) Error() string {
	const limit = 3
	lines := e.Lines()
	more := ""
	if len(lines) > limit {
		more = fmt.Sprintf("; and %d more", len(lines)-limit)
		lines = lines[:limit]
	}
	return fmt.Sprintf("the weights of %s do not fit its config.json: %s%s", e.Checkpoint, strings.Join(lines, "; "), more)
}

type binder struct {
	c      *Checkpoint
	dims   map[string]int
	faults BindError
}

var weightType = reflect.TypeFor[*backend.Weight]()

func (b *binder) fields(v reflect.Value, path string) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		tag, tagged := field.Tag.Lookup("tensor")
		if !tagged {
			continue
		}
		if err := b.field(v.Field(i), field.Tag, tag, path); err != nil {
			return fmt.Errorf("field %s.%s: %w", v.Type(), field.Name, err)
		}
	}
	return nil
}

func (b *binder) field(v reflect.Value, tags reflect.StructTag, tag, path string) error {
	switch {
	case !v.CanSet():
		return fmt.Errorf("it is not exported, so it cannot be bound")
	case v.Type() == weightType:
		w, err := b.weight(tags, tag, path)
		v.Set(reflect.ValueOf(w))
		return err
	case v.Kind() == reflect.Struct:
		return b.fields(v, join(path, tag))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			if err := b.fields(v.Index(i), join(path, tag, strconv.Itoa(i))); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("a tensor tag needs a *backend.Weight, a struct or a slice of structs, not %s", v.Type())
}

// weight returns the weight of a field, or nil after noting what is wrong.
func (b *binder) weight(tags reflect.StructTag, tag, path string) (*backend.Weight, error) {
	names, option, _ := strings.Cut(tag, ",")
	if option != "" && option != "optional" {
		return nil, fmt.Errorf("unknown option %q of the tensor tag", option)
	}
	expr, ok := tags.Lookup("shape")
	if !ok || names == "" {
		return nil, fmt.Errorf("a weight needs a name in its tensor tag and a shape tag")
	}
	want, err := evalShape(expr, b.dims)
	if err != nil {
		return nil, fmt.Errorf("shape %q: %w", expr, err)
	}
	if flag, conditional := tags.Lookup("when"); conditional {
		value, known := b.dims[flag]
		if !known {
			return nil, fmt.Errorf("unknown dimension %q in the when tag", flag)
		}
		if value == 0 {
			return nil, nil
		}
	}
	for name := range strings.SplitSeq(names, "|") {
		if t, found := b.c.tensor(join(path, name)); found {
			return b.check(t, want), nil
		}
	}
	if option != "optional" {
		first, _, _ := strings.Cut(names, "|")
		b.faults.Missing = append(b.faults.Missing, join(path, first))
	}
	return nil, nil
}

func (b *binder) check(t Tensor, want []int) *backend.Weight {
	w := b.c.Weight(t.Name)
	switch {
	case w == nil:
		b.faults.DType = append(b.faults.DType, t)
	case !slices.Equal(t.Shape, want):
		b.faults.Shape = append(b.faults.Shape, ShapeFault{t.Name, t.Shape, want})
	default:
		return w
	}
	return nil
}

// join joins the parts of a path that are not empty with dots.
func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ".")
}

// Unused returns the tensors of a checkpoint that no weight of the bound
// structs refers to, such as position_ids or a stored copy of a tied head.
func Unused(c *Checkpoint, bound ...any) []Tensor {
	used := make(map[*backend.Weight]bool)
	for _, dst := range bound {
		collect(reflect.ValueOf(dst), used)
	}
	return slices.DeleteFunc(c.Tensors(), func(t Tensor) bool {
		w := c.Weight(t.Name)
		return w != nil && used[w]
	})
}

// collect notes the weights in the tagged fields of v.
func collect(v reflect.Value, used map[*backend.Weight]bool) {
	switch {
	case !v.IsValid():
	case v.Type() == weightType:
		used[v.Interface().(*backend.Weight)] = true
	case v.Kind() == reflect.Pointer && !v.IsNil():
		collect(v.Elem(), used)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if _, tagged := v.Type().Field(i).Tag.Lookup("tensor"); tagged {
				collect(v.Field(i), used)
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			collect(v.Index(i), used)
		}
	}
}
