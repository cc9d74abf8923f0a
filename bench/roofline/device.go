package roofline

import (
	"bytes"
	"context"
	"fmt"
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

// MeasureRead measures how fast a device reads its own memory, in bytes/s. It is an error if the
// device has none.
func MeasureRead(ctx context.Context, device backend.Backend, opt Options) (*Limit, error) {
	r, ok := device.(memoryReader)
	if !ok {
		return nil, fmt.Errorf("the backend %s has no memory of its own to read", device.Info().Backend)
	}
	opt = opt.ofDevice()
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
