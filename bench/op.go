package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"emily/arch"
	"emily/backend"
)

// ops are the operations of tier 1; a and b are [n, n].
var ops = map[string]func(a, b *backend.Tensor) *backend.Tensor{
	"add":     func(a, b *backend.Tensor) *backend.Tensor { return a.Add(b) },
	"mul":     func(a, b *backend.Tensor) *backend.Tensor { return a.Mul(b) },
	"exp":     func(a, _ *backend.Tensor) *backend.Tensor { return a.Exp() },
	"sum":     func(a, _ *backend.Tensor) *backend.Tensor { return a },
	"softmax": func(a, _ *backend.Tensor) *backend.Tensor { return a.Softmax() },
	"matmul":  func(a, b *backend.Tensor) *backend.Tensor { return a.MatMul(b) },
}

// opTask is the op, the sum of its result, and that number read back.
type opTask struct {
	program backend.Program
	session backend.Session
	in, out []backend.Buffer
	sum     []float32
}

func newOpTask(_ context.Context, j *job, opt arch.Options) (task, error) {
	op := ops[j.Op]
	if op == nil || j.N < 1 {
		return nil, fmt.Errorf("there is no op %q of size %d", j.Op, j.N)
	}
	g := backend.NewGraph()
	a, b := g.Input("a", backend.F32, j.N, j.N), g.Input("b", backend.F32, j.N, j.N)
	g.Output("sum", op(a, b).Sum(-1).Sum(0))
	program, err := opt.Compile(g)
	if err != nil {
		return nil, err
	}
	session, err := program.Bind()
	if err != nil {
		program.Close()
		return nil, err
	}
	t := &opTask{program: program, session: session, sum: make([]float32, 1)}
	t.in = []backend.Buffer{backend.BufferOf(opInput(j.N, 1)), backend.BufferOf(opInput(j.N, 2))}
	t.out = []backend.Buffer{backend.BufferOf(t.sum)}
	return t, nil
}

// opInput is sin((iota+seed)/(n*n)), [n, n], computed in f32 but for the sine.
func opInput(n, seed int) []float32 {
	x := make([]float32, n*n)
	for i := range x {
		x[i] = float32(math.Sin(float64((float32(i) + float32(seed)) / float32(n*n))))
	}
	return x
}

func (t *opTask) call(ctx context.Context) (*output, error) {
	if err := t.session.Run(ctx, t.in, t.out); err != nil {
		return nil, err
	}
	sum := float64(t.sum[0])
	return &output{Number: &sum}, nil
}

func (t *opTask) close() error {
	t.session.Close()
	return t.program.Close()
}

// ints copies I32 elements out of a buffer.
func ints(b backend.Buffer) []int32 {
	x := make([]int32, len(b)/4)
	for i := range x {
		x[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}
