package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"

	"emily/backend"
	"emily/backend/gpu/kernels"
)

// decodeKernel is a plan's decoder with the kernel that runs it.
type decodeKernel struct {
	*decodeStep
	sizes *decodeSizes
	*decodeProgram
}

// decodeProgram has the compiled kernels for some sizes: a step, and what brings the weights of out and down into its order.
type decodeProgram struct{ step, sliceOut, sliceDown Kernel }

// decodeArgs are the arguments as kernels/src/decode.h declares them.
type decodeArgs struct {
	slots, capacity, vocabulary, best int32
	eps, headEps, scale, rotaryScale  float32
}

// runs reports whether the kernel does the step of a node.
func (d *decodeKernel) runs(n *backend.Tensor) bool {
	return d != nil && n == d.plan.Steps[d.last].Node
}

// replace returns the plan with one step, the head's, for all that the kernel
// does. Its operands are the token and the segments.
func (d *decodeKernel) replace(plan *backend.Plan) *backend.Plan {
	if d == nil {
		return plan
	}
	shorter := *plan
	shorter.Steps = nil
	for i, st := range plan.Steps {
		if i == d.last {
			st.Args = []backend.Slot{d.ids, d.segments}
		} else if d.steps[i] {
			continue
		}
		shorter.Steps = append(shorter.Steps, st)
	}
	return &shorter
}

// decoder returns the kernel for a plan that is a decoder's step, or nil where
// the plan is none or runs as kernels for its steps. The latter is an event.
func (b *Backend) decoder(p *backend.Plan) *decodeKernel {
	if b.info.Resident.Blocks == 0 {
		return nil
	}
	d, err := recogniseDecode(p)
	var sizes *decodeSizes
	if err == nil {
		sizes, err = d.sizes()
	}
	if err == nil {
		err = sizes.fit(b.info.Resident)
	}
	var k *decodeProgram
	if err == nil {
		sizes.profiled = os.Getenv(profileVariable) != ""
		k, err = b.decodeProgram(sizes)
	}
	if r := (*refusal)(nil); errors.As(err, &r) {
		if p.Options.Event != nil {
			reason := strings.Join(strings.Fields(r.reason), " ") // in one line
			p.Options.Event(fmt.Sprintf("%s runs a step of the decoder as a kernel for each part: %s", b.info.Backend, reason))
		}
		return nil
	}
	if err != nil { // it is no decoder
		return nil
	}
	return &decodeKernel{d, sizes, k}
}

// decodeProgram compiles the kernels for some sizes, once.
func (b *Backend) decodeProgram(s *decodeSizes) (*decodeProgram, error) {
	source := kernels.Decode(b.info.Dialect, s.macros())
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.decoders[source]; ok {
		return p, nil
	}
	compiled, err := b.driver.Compile(source, []string{"decode", "slice_out", "slice_down"})
	if err != nil {
		return nil, &refusal{fmt.Sprintf("its kernel does not compile: %v", err)}
	}
	n, err := b.driver.Resident(compiled[0], s.threads(), s.sharedWithRing())
	if err != nil {
		return nil, &refusal{err.Error()}
	}
	if n < s.blocks {
		return nil, &refusal{fmt.Sprintf("the device runs %d of its %d blocks at once", n, s.blocks)}
	}
	b.decoders[source] = &decodeProgram{compiled[0], compiled[1], compiled[2]}
	return b.decoders[source], nil
}

// threads of a block: those that multiply, and those that feed them.
func (s *decodeSizes) threads() int { return (s.warps + s.feeders) * warpSize }

// decode adds the kernel.
func (b *binder) decode(d *decodeKernel, t *task) error {
	b.step, b.round, b.used = t.Step, false, 0
	n := b.step.Node
	args := decodeArgs{slots: i32(d.keys.Shape[1]), capacity: i32(d.keys.Shape[3]), vocabulary: i32(d.embedding.Shape[0]),
		eps: d.eps, headEps: d.headEps, scale: d.scale, rotaryScale: d.rotaryScale}
	vectors, err := d.vectors()
	if err != nil {
		return err
	}
	var logits, ids, values operand
	search := false
	switch {
	case n.Op() == backend.OpLinear:
		logits = b.out(0)
	case n.Attrs().K == 1:
		ids, values, args.best = b.out(0), b.out(1), 1
	default:
		logits, search = b.scratch(4*d.sizes.vocabulary), true
	}
	b.exchangeBytes = max(b.exchangeBytes, d.sizes.exchange())
	weight := func(w *backend.Weight) operand {
		return b.operand(backend.Slot{Place: backend.InWeight, Weight: w, Tensor: n})
	}
	embedding := weight(d.embedding)
	embedding.bytes = len(d.embedding.Data)
	b.add(launch{own: d.step, grid: [3]int{d.sizes.blocks, 1, 1}, threads: d.sizes.threads(), shared: d.sizes.sharedWithRing(), args: bytesOf(args),
		operands: []operand{b.constant(b.addresses(d)), b.constant(vectors), embedding, b.operand(d.frequencies), b.arg(0), b.arg(1),
			b.state(d.keys), b.state(d.values), {kind: inExchange, bytes: d.sizes.exchange()}, logits, ids, values, d.profile()}})
	if d.sizes.profiled {
		b.profiled = d
	}
	if search {
		b.topK(logits, 1, d.sizes.vocabulary, n.Attrs().K, b.out(0), b.out(1))
	}
	return b.err
}

// addresses is the table of the layers' weights and windows, and the head's at the end.
func (b *binder) addresses(d *decodeKernel) []byte {
	var table []byte
	add := func(m Memory, err error) {
		b.fail(err)
		table = binary.NativeEndian.AppendUint64(table, uint64(m.Handle))
	}
	plain := func(w *backend.Weight) {
		at, err := b.backend.uploaded(w)
		add(at.Memory, err)
	}
	for _, l := range d.layers {
		for _, w := range []*backend.Weight{l.query, l.key, l.value} {
			plain(w)
		}
		add(b.backend.uploadedSlices(l.out, d.sliceOut))
		plain(l.gate)
		plain(l.up)
		add(b.backend.uploadedSlices(l.down, d.sliceDown))
		table = binary.NativeEndian.AppendUint64(table, uint64(l.window))
	}
	plain(d.head)
	return table
}

// vectors are the norms' weights and the biases in f32, layer by layer, and the last norm's.
func (d *decodeKernel) vectors() (data []byte, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the norms' weights could not be read: the file was truncated or its disk failed (%v)", v)
		}
	}()
	var list []*backend.Weight
	for _, l := range d.layers {
		list = append(list, l.rowNorm, l.mlpNorm, l.queryNorm, l.keyNorm, l.queryBias, l.keyBias, l.valueBias, l.outBias, l.gateBias, l.upBias, l.downBias)
	}
	for _, w := range append(list, d.norm) {
		if w == nil {
			continue
		}
		for i := range w.Elements() {
			data = binary.NativeEndian.AppendUint32(data, math.Float32bits(number(w, i)))
		}
	}
	return data, nil
}

// number is element i of a weight.
func number(w *backend.Weight, i int) float32 {
	switch w.DType {
	case backend.BF16:
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(w.Data[2*i:])) << 16)
	case backend.F16:
		return half(binary.LittleEndian.Uint16(w.Data[2*i:]))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(w.Data[4*i:]))
}

// half widens an IEEE 754 binary16 by scaling its exponent as a float32's.
func half(bits uint16) float32 {
	magnitude, sign := uint32(bits&0x7fff)<<13, uint32(bits&0x8000)<<16
	if magnitude >= 0x1f<<23 {
		return math.Float32frombits(sign | 0x7f800000 | magnitude&0x7fffff)
	}
	return math.Float32frombits(sign | math.Float32bits(math.Float32frombits(magnitude)*0x1p112))
}
