package gpu

import "emily/backend"

func bindReduce(b *binder, n *backend.Tensor) bool {
	shape, axis := n.Args()[0].Shape(), n.Attrs().Axis
	args := reduceArgs{outer: 1, count: i32(shape[axis]), inner: 1, op: flag(n.Op() == backend.OpReduceMax)}
	for _, d := range shape[:axis] {
		args.outer *= i32(d)
	}
	for _, d := range shape[axis+1:] {
		args.inner *= i32(d)
	}
	if args.inner == 1 {
		b.each(reduceRows, warpSize*n.Elements(), bytesOf(args), b.arg(0), b.out(0))
	} else {
		b.each(reduceColumns, n.Elements(), bytesOf(args), b.arg(0), b.out(0))
	}
	return true
}

func bindSoftmax(b *binder, n *backend.Tensor) bool {
	m, width := rows(n)
	b.launch(softmax, [3]int{m, 1, 1}, rowThreads(width), bytesOf(rowArgs{i32(m), i32(width)}), b.arg(0), b.out(0))
	return true
}

func bindNorm(b *binder, n *backend.Tensor) bool {
	kind := backend.RMSNorm
	if n.Op() == backend.OpLayerNorm {
		kind = backend.LayerNorm
	}
	b.normalise(normalise, n.Elements(), kind, n.Attrs().Eps, n.Args()[1:], b.arg(0), b.args(1), b.out(0), b.round)
	return true
}

// normalise adds the norm of groups of x, as many elements each as the norm's
// weight has, by one of the kernels for it.
func (b *binder) normalise(k kernel, elements int, kind backend.Norm, eps float32, weights []*backend.Tensor, x operand, stored []operand, y operand, round bool) {
	width := weights[0].Dim(0)
	args := normArgs{rows: i32(elements / width), width: i32(width), kind: i32(int(kind)), round: flag(round), weightType: i32(int(weights[0].DType())), eps: eps}
	bias := operand{}
	if len(weights) > 1 {
		args.biasType, bias = i32(int(weights[1].DType())), stored[1]
	}
	b.launch(k, [3]int{elements / width, 1, 1}, rowThreads(width), bytesOf(args), x, stored[0], bias, y)
}
