package gpu

import "emily/backend"

// express adds the launches of a task's expressions.
func (b *binder) express(t *task) {
	for _, p := range t.parts {
		args, operands := b.chainArgs(p)
		args.dtype = i32(int(t.Node.DType()))
		y := b.operand(t.Outs[0])
		operands = append(operands, y)
		if !t.fold {
			b.each(chain, int(args.count), bytesOf(args), operands...)
			continue
		}
		rows := t.Node.Elements()
		args.count /= i32(rows)
		args.fold = flag(t.Node.Op() == backend.OpReduceMax)
		b.launch(chainFold, [3]int{rows, 1, 1}, rowThreads(int(args.count)), bytesOf(args), operands...)
	}
}

// chainArgs are the arguments and the leaves of an expression.
func (b *binder) chainArgs(p part) (chainArgs, []operand) {
	sizes, steps, _ := p.fits(p.out) // it did when the expression was made
	args := chainArgs{count: i32(elements(p.shape)), rank: i32(len(sizes)), leaves: i32(len(p.leaves)), steps: i32(p.instructions()), out0: i32(p.out.offset)}
	operands := make([]operand, mostLeaves)
	for i, l := range p.leaves {
		args.kind[i], args.first[i] = int32(l.kind), i32(l.view.offset)
		switch l.kind {
		case index:
		case literal:
			args.first[i] = l.bits
		default:
			operands[i] = b.operand(l.slot)
		}
	}
	for axis, n := range sizes {
		args.shape[axis] = i32(n)
		for i := range p.leaves {
			args.stride[axis*mostLeaves+i] = i32(steps[i][axis])
		}
		args.out[axis] = i32(steps[len(p.leaves)][axis])
	}
	at, next := make([]int32, len(p.values)), int32(0)
	for i, v := range p.values {
		if v.leaf >= 0 {
			at[i] = int32(v.leaf)
			continue
		}
		copy(args.step[4*next:], []int32{v.op, at[v.args[0]], at[v.args[1]], at[v.args[2]]})
		at[i] = int32(len(p.leaves)) + next
		next++
	}
	args.result = at[p.result]
	return args, operands
}
