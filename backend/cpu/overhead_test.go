package cpu

import (
	"context"
	"testing"

	"emily/backend"
)

// BenchmarkOverhead compares a run of 300 tiny ops with calling their kernels
// one after the other: the difference is what Run costs. With a parallel op
// among them, the workers' counters come on top.
func BenchmarkOverhead(b *testing.B) {
	for _, c := range []struct {
		name     string
		threads  int
		parallel bool
	}{{"inline", 2, false}, {"parallel", 2, true}, {"one thread", 1, true}} {
		b.Run(c.name, func(b *testing.B) {
			be, err := New(Options{Threads: c.threads})
			if err != nil {
				b.Fatal(err)
			}
			defer be.Close()
			g := backend.NewGraph()
			x := g.Input("x", backend.F32, 1, 16)
			y := x
			for range 300 {
				y = y.Neg()
			}
			g.Output("y", y)
			if c.parallel { // 2 chunks
				g.Output("z", g.Input("wide", backend.F32, 8192).ReLU())
			}
			prog, err := backend.Compile(be, g, backend.Options{})
			if err != nil {
				b.Fatal(err)
			}
			sess, err := prog.Bind()
			if err != nil {
				b.Fatal(err)
			}
			var in, out []backend.Buffer
			for _, t := range g.Inputs() {
				in = append(in, make(backend.Buffer, t.Bytes()))
			}
			for _, o := range g.Outputs() {
				out = append(out, make(backend.Buffer, o.Tensor.Bytes()))
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if err := sess.Run(ctx, in, out); err != nil {
				b.Fatal(err)
			}
			b.Run("run", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := sess.Run(ctx, in, out); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("kernels", func(b *testing.B) {
				s := sess.(*session)
				for b.Loop() {
					for i := range s.program.phases {
						p := &s.program.phases[i]
						for k := range p.chunks {
							p.run(&s.frame, be.pool.workers[0], k)
						}
					}
				}
			})
		})
	}
}
