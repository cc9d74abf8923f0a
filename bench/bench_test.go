package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"emily/arch"
	"emily/backend"
	"emily/backend/cpu"
	"emily/backend/cpu/kernel"
	"emily/bench/roofline"
)

var machine = sync.OnceValues(func() (roofline.Limits, error) {
	return roofline.Measure(context.Background(), kernel.Best(), runtime.GOMAXPROCS(0), roofline.Options{})
})

// BenchmarkOps times the rows of tier 1 without a pipe between, and reports
// operations, bytes, and the share of the machine's limits.
func BenchmarkOps(b *testing.B) {
	limits, err := machine()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range tiers(defaultTokens, 1)["1"].cases {
		for _, lane := range []backend.Lane{backend.Eager, backend.Native, backend.Fuse} {
			b.Run(fmt.Sprintf("%s/%s", c.name, lane), func(b *testing.B) { benchmarkOp(b, c.job, lane, limits) })
		}
	}
}

func benchmarkOp(b *testing.B, j job, lane backend.Lane, limits roofline.Limits) {
	be, err := cpu.New(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	c := &counter{Backend: be}
	defer c.Close()
	t, err := newOpTask(b.Context(), &j, arch.Options{Backend: c, Lane: lane})
	if err != nil {
		b.Fatal(err)
	}
	defer t.close()
	c.start()
	if _, err := t.call(b.Context()); err != nil {
		b.Fatal(err)
	}
	work, err := c.stop()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		t.call(b.Context())
	}
	seconds := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(float64(work[0].FLOPs)/seconds/1e9, "GFLOP/s")
	b.ReportMetric(float64(work[0].Bytes)/seconds/1e9, "GB/s")
	b.ReportMetric(100*limits.Seconds(work[0])/seconds, "%limit")
}
