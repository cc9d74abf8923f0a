package gpu

import (
	"errors"
	"fmt"

	"emily/backend"
)

// decodeStep is a plan's decoder, as far as one kernel runs it: from the
// embedding of one token to the scores of the next.
type decodeStep struct {
	plan   *backend.Plan
	steps  map[int]bool // that the kernel takes over
	last   int          // of them; the kernel runs in its place
	layers []decodeLayer

	embedding, head        *backend.Weight
	norm                   *backend.Weight // before the head
	ids, segments          backend.Slot
	frequencies            backend.Slot
	keys, values           *backend.StateSpec
	heads, pairs           int // pairs of elements that are rotated
	qkNorm                 bool
	eps, headEps           float32
	scale, rotaryScale     float32
	table, rotary, current *backend.Tensor // segments, rotations, and what the walk has come to
}

// decodeLayer holds the weights of a layer; biases and norms of heads may be nil.
type decodeLayer struct {
	rowNorm, queryNorm, keyNorm, mlpNorm                               *backend.Weight
	query, key, value, out, gate, up, down                             *backend.Weight
	queryBias, keyBias, valueBias, outBias, gateBias, upBias, downBias *backend.Weight
	window                                                             int
}

// errNotDecode says that a plan is no decoder's step of one row at all.
var errNotDecode = errors.New("not a decode step")

// refusal says why a decoder is not run by one kernel.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// walker goes through a plan from its scores back to its token. The first thing
// that is not as the kernel has it ends the walk as a panic of *refusal, or of errNotDecode.
type walker struct {
	*decodeStep
	at map[*backend.Tensor]int // steps by node
}

// recogniseDecode finds the decoder of a plan of one row. The error is
// errNotDecode, or a *refusal if it comes near.
func recogniseDecode(p *backend.Plan) (d *decodeStep, err error) {
	if p.Options.Lane != backend.Fuse {
		return nil, errNotDecode
	}
	w := walker{&decodeStep{plan: p, steps: map[int]bool{}}, map[*backend.Tensor]int{}}
	w.last = -1
	for i, st := range p.Steps {
		w.at[st.Node] = i
		if isHead(st.Node) {
			w.last = i
		}
	}
	if w.last < 0 {
		return nil, errNotDecode
	}
	defer func() {
		v := recover()
		r, refused := v.(*refusal)
		switch {
		case refused:
			d, err = nil, r
		case v == errNotDecode:
			d, err = nil, errNotDecode
		case v != nil:
			panic(v)
		}
	}()
	w.walk(p.Steps[w.last].Node)
	w.checkUses()
	return w.decodeStep, nil
}

// isHead reports whether a node scores one row after a norm.
func isHead(n *backend.Tensor) bool {
	a := n.Attrs()
	return (n.Op() == backend.OpLinearTopK || n.Op() == backend.OpLinear) && n.Args()[0].Dim(0) == 1 && a.Norm == backend.RMSNorm && a.Weights == 1 && !a.Bias && !a.Residual && a.Activation == backend.NoActivation
}

func (w walker) need(ok bool, format string, args ...any) {
	if !ok {
		panic(&refusal{fmt.Sprintf(format, args...)})
	}
}

// take remembers that the kernel does a node's step.
func (w walker) take(n *backend.Tensor) *backend.Tensor {
	if i, ok := w.at[n]; ok {
		w.steps[i] = true
	}
	return n
}

// unrounded goes past the rounding of activations to bf16, which must be there if the plan asks for it.
func (w walker) unrounded(t *backend.Tensor) *backend.Tensor {
	inner, rounds := roundingOf(t)
	w.need(rounds == (w.plan.Options.DType == backend.BF16), "%s is rounded in an unusual place", t)
	if rounds {
		w.take(w.take(t).Args()[0])
	}
	return w.take(inner)
}

// roundingOf returns what is rounded to bf16.
func roundingOf(t *backend.Tensor) (of *backend.Tensor, ok bool) {
	if t.Op() == backend.OpCast && t.DType() == backend.F32 && t.Args()[0].Op() == backend.OpCast && t.Args()[0].DType() == backend.BF16 {
		return t.Args()[0].Args()[0], true
	}
	return t, false
}

func weightOf(t *backend.Tensor) *backend.Weight { return t.Attrs().Weight }

// walk starts at the head.
func (w walker) walk(head *backend.Tensor) {
	l := head.Attrs().Linear(head.Args())
	w.take(head)
	w.decodeStep.head, w.norm, w.eps = weightOf(l.Weights[0]), weightOf(l.Norm[0]), head.Attrs().Eps
	x := l.X
	for { // the choice of the one row
		if inner, ok := roundingOf(x); ok && inner.Op() == backend.OpGather {
			x = w.unrounded(x)
		}
		if x.Op() != backend.OpGather || x.Args()[0].Op() == backend.OpWeight {
			break
		}
		if x = w.take(x).Args()[0]; x.Dim(0) != 1 { // a prompt's
			panic(errNotDecode)
		}
	}
	w.current = x
	for {
		if inner, _ := roundingOf(w.current); inner.Op() == backend.OpGather {
			break
		}
		w.layer()
	}
	w.need(len(w.layers) > 0, "there is no layer between embedding and head")
	for i, j := 0, len(w.layers)-1; i < j; i, j = i+1, j-1 {
		w.layers[i], w.layers[j] = w.layers[j], w.layers[i]
	}
	w.embed()
}

// linear is a product that is added to another tensor, or with no residual one that is not.
func (w walker) linear(t *backend.Tensor, op backend.Op, residual bool) backend.LinearArgs {
	n := w.unrounded(t)
	a := n.Attrs()
	w.need(n.Op() == op && a.Residual == residual && a.Activation == backend.NoActivation, "%s is not the product that a layer has there", n)
	w.need((a.Norm == backend.RMSNorm) == !residual, "%s has not the norm that a layer has there", n)
	w.need(a.Norm == backend.NoNorm || a.Eps == w.eps, "%s: the layers' norms differ in epsilon", n)
	return a.Linear(n.Args())
}

// layer walks from a layer's output to its input.
func (w walker) layer() {
	var l decodeLayer
	down := w.linear(w.current, backend.OpLinear, true)
	l.down, l.downBias = weightOf(down.Weights[0]), bias(down, 0)
	middle := down.Residual
	mlp := w.linear(down.X, backend.OpGatedLinear, false)
	w.need(mlp.X == middle, "%s is not what the feed-forward layer reads and adds to", middle)
	l.gate, l.up, l.mlpNorm = weightOf(mlp.Weights[0]), weightOf(mlp.Weights[1]), weightOf(mlp.Norm[0])
	l.gateBias, l.upBias = bias(mlp, 0), bias(mlp, 1)
	out := w.linear(middle, backend.OpLinear, true)
	l.out, l.outBias = weightOf(out.Weights[0]), bias(out, 0)
	w.current = out.Residual
	w.attention(&l, out.X)
	w.layers = append(w.layers, l)
}

func bias(l backend.LinearArgs, i int) *backend.Weight {
	if len(l.Biases) == 0 {
		return nil
	}
	return weightOf(l.Biases[i])
}

// attention walks from an attention's result to the layer's input.
func (w walker) attention(l *decodeLayer, result *backend.Tensor) {
	n := w.unrounded(result)
	w.need(n.Op() == backend.OpAttention, "%s is not an attention", n)
	a, t := n.Attrs(), n.Attrs().Attention(n.Args())
	w.need(a.State != nil && a.Causal && t.Table != nil, "%s is not causal over a cache", n)
	if w.keys == nil {
		w.keys, w.values, w.heads, w.scale, w.table = a.State, a.Values, a.Heads, a.Scale, t.Table
	}
	w.need(a.State == w.keys && a.Values == w.values && a.Heads == w.heads && a.Scale == w.scale && t.Table == w.table, "the layers' attentions differ")
	l.window = a.Window

	rope := w.unrounded(t.Q)
	w.need(rope.Op() == backend.OpRoPE, "the queries %s are not rotated", rope)
	group := w.rotated(rope, rope.Args()[1], rope.Args()[2:], &l.queryNorm, 0)
	product := w.take(group)
	w.need(product.Op() == backend.OpLinearGroup && product.Attrs().Weights == 3 && product.Attrs().Norm == backend.RMSNorm && product.Attrs().Eps == w.eps,
		"%s is not the product for queries, keys and values", product)
	g := product.Attrs().Linear(product.Args())
	w.need(g.X == w.current, "%s is not what the attention reads and adds to", w.current)
	l.rowNorm = weightOf(g.Norm[0])
	l.query, l.key, l.value = weightOf(g.Weights[0]), weightOf(g.Weights[1]), weightOf(g.Weights[2])
	l.queryBias, l.keyBias, l.valueBias = bias(g, 0), bias(g, 1), bias(g, 2)

	found := 0
	for _, st := range w.plan.Steps {
		u := st.Node
		if u.Op() != backend.OpCacheUpdate || u.Attrs().Layer != a.Layer {
			continue
		}
		args := u.Args()
		w.need(args[1] == w.table, "%s has segments of its own", u)
		switch u.Attrs().State {
		case w.keys:
			w.need(u.Attrs().Rotary, "the keys of %s are not rotated", u)
			w.need(w.rotated(w.take(u), args[2], args[3:], &l.keyNorm, 1) == group, "%s stores other keys", u)
		case w.values:
			w.need(!u.Attrs().Rotary && w.part(w.take(u).Args()[0], 2) == group, "%s stores other values", u)
		default:
			continue
		}
		found++
	}
	w.need(found == 2 && a.Layer == w.keys.Shape[0]-1-len(w.layers), "layer %d of the cache is not written as a decoder does", a.Layer)
}

// rotated checks a rotation with its norm and returns the product whose part it rotates.
func (w walker) rotated(n, rotary *backend.Tensor, norm []*backend.Tensor, weight **backend.Weight, part int) *backend.Tensor {
	if w.rotary == nil {
		w.rotary, w.pairs = rotary, rotary.Dim(1)/2
	}
	w.need(rotary == w.rotary, "%s is rotated by other angles", n)
	a := n.Attrs()
	w.need(a.Norm != backend.LayerNorm, "%s has a layer norm", n)
	if a.Norm == backend.RMSNorm {
		*weight = weightOf(norm[0])
		w.need(w.headEps == 0 || w.headEps == a.Eps, "%s: the norms of heads differ in epsilon", n)
		w.qkNorm, w.headEps = true, a.Eps
	}
	return w.part(n.Args()[0], part)
}

// part returns the product that a tensor is a part of.
func (w walker) part(t *backend.Tensor, i int) *backend.Tensor {
	n := w.unrounded(t)
	w.need(n.Op() == backend.OpPart && n.Attrs().Part == i, "%s is not part %d of the product for queries, keys and values", n, i)
	return n.Args()[0]
}

// embed ends the walk at the token and its place.
func (w walker) embed() {
	n, rounds := roundingOf(w.current)
	if rounds {
		n = w.unrounded(w.current)
	}
	w.need(n.Op() == backend.OpGather && n.Attrs().Axis == 0 && n.Args()[0].Op() == backend.OpWeight, "%s is not the embedding of one token", n)
	st := w.plan.Steps[w.at[w.take(n)]]
	w.embedding, w.ids = weightOf(n.Args()[0]), st.Args[1]

	w.need(w.rotary.Op() == backend.OpRotaryTable && w.rotary.Args()[0].Op() == backend.OpPositions, "%s are no rotations of positions", w.rotary)
	st = w.plan.Steps[w.at[w.take(w.rotary)]]
	w.frequencies, w.rotaryScale = st.Args[1], w.rotary.Attrs().Scale
	positions := w.take(w.rotary.Args()[0])
	w.need(positions.Args()[0] == w.table, "%s counts other segments", positions)
	w.segments = w.plan.Steps[w.at[positions]].Args[0]
}

// checkUses checks that nothing else reads what the kernel keeps to itself, and
// that no other step comes between the first layer and the head.
func (w walker) checkUses() {
	taken := map[*backend.Tensor]bool{}
	first := len(w.plan.Steps)
	for i := range w.steps {
		taken[w.plan.Steps[i].Node] = true
		if w.plan.Steps[i].Node.Op() == backend.OpGather && w.plan.Steps[i].Node.Args()[0].Op() == backend.OpWeight {
			first = i
		}
	}
	head := w.plan.Steps[w.last].Node
	inside := func(t *backend.Tensor) bool {
		if t.Op() == backend.OpPart {
			t = t.Args()[0]
		}
		return taken[t] && t != head
	}
	for i, st := range w.plan.Steps {
		if w.steps[i] {
			continue
		}
		w.need(i < first || i > w.last, "%s runs between the layers", st.Node)
		for _, a := range st.Node.Args() {
			w.need(!inside(a), "%s reads %s", st.Node, a)
		}
	}
	for _, o := range w.plan.Graph.Outputs() {
		w.need(!inside(o.Tensor), "the result %s is one of the layers'", o.Name)
	}
}
