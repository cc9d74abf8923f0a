package roofline

import (
	"bytes"
	"context"
	"math"
	"time"

	"emily/backend"
)

// memoryReader is a device that can read memory of its own and do nothing else.
type memoryReader interface {
	// Reading returns what reads so many bytes some times, one after the other, and what frees them.
	Reading(bytes int) (read func(times int) error, free func(), err error)
}

// readTimes is how often memory is read in a run, so that its start and end count for little.
const readTimes = 8

// MeasureRead measures how fast a device reads its memory, in bytes/s, as the
// device itself can tell and by products of one row and of two with large matrices of bf16, which is
// the most of what decoding does. Of these and of several lengths of rows the fastest counts.
func MeasureRead(ctx context.Context, device backend.Backend, opt Options) (best *Limit, err error) {
	opt = opt.ofDevice()
	if r, ok := device.(memoryReader); ok {
		if best, err = readPlainly(ctx, r, opt); err != nil {
			return nil, err
		}
	}
	const matrices = 2
	// Small numbers that are not zeros: pages that were never written would all be the same one.
	data := bytes.Repeat([]byte{0x80, 0x38}, max(64, opt.Bytes/matrices/2))
	for _, width := range []int{1024, 4096, 16384} {
		width = min(width, int(math.Sqrt(float64(len(data)/2)))/8*8)
		var list []*backend.Weight
		for range matrices {
			height := len(data) / 2 / width
			list = append(list, &backend.Weight{Name: "matrix", DType: backend.BF16, Shape: []int{height, width}, Data: data[:2*height*width]})
		}
		for rows := 1; rows <= 2; rows++ {
			l, err := readWeights(ctx, device, opt.Runs, rows, width, list)
			if err != nil {
				return nil, err
			}
			if best == nil || l.Value > best.Value {
				best = l
			}
		}
	}
	return best, nil
}

// readPlainly measures how fast a device reads memory and does nothing else.
func readPlainly(ctx context.Context, r memoryReader, opt Options) (*Limit, error) {
	read, free, err := r.Reading(opt.Bytes)
	if err != nil {
		return nil, err
	}
	defer free()
	return repeat(opt.Runs, readTimes*opt.Bytes, func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return read(readTimes)
	})
}

// readWeights measures how fast products of some rows with matrices, all of a width, read these.
func readWeights(ctx context.Context, device backend.Backend, runs, rows, width int, list []*backend.Weight) (*Limit, error) {
	g := backend.NewGraph()
	x := g.Input("x", backend.F32, rows, width)
	total := 0
	for i := range readTimes * len(list) {
		w := list[i%len(list)]
		total += len(w.Data)
		x = x.Slice(1, 0, width).Linear(w, nil)
	}
	g.Output("x", x)
	p, err := backend.Compile(device, g, backend.Options{})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	s, err := p.Bind()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	in, out := []backend.Buffer{backend.BufferOf(make([]float32, rows*width))}, []backend.Buffer{backend.BufferOf(make([]float32, rows*x.Dim(1)))}
	return repeat(runs, total, func() error { return s.Run(ctx, in, out) })
}

// MeasureCopy measures how fast data is copied to a device, in bytes/s.
func MeasureCopy(ctx context.Context, device backend.Backend, opt Options) (*Limit, error) {
	opt = opt.ofDevice()
	size := max(4, opt.Bytes/4)
	state, err := device.NewState(&backend.StateSpec{Name: "copy", DType: backend.F32, Shape: []int{size / 4}})
	if err != nil {
		return nil, err
	}
	defer state.Close()
	from, last := bytes.Repeat([]byte{1}, size/4*4), make([]byte, 4)
	return repeat(opt.Runs, len(from), func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := state.Write(from, 0); err != nil {
			return err
		}
		return state.Read(last, len(from)-len(last)) // waits for the copy
	})
}

// ofDevice fills in what is left open for a device.
func (opt Options) ofDevice() Options {
	if opt.Bytes == 0 {
		opt.Bytes = 1 << 30
	}
	if opt.Runs == 0 {
		opt.Runs = 15
	}
	return opt
}

// repeat times f after a first call that does not count.
func repeat(runs, units int, f func() error) (*Limit, error) {
	var rates []float64
	for i := range runs + 1 {
		start := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		if i > 0 {
			rates = append(rates, float64(units)/time.Since(start).Seconds())
		}
	}
	return summarize(rates), nil
}
