//go:build linux && !nogpu

package cuda

import (
	"errors"
	"unsafe"

	"emily/backend/gpu"
)

// recording is a list of parts: CUDA graphs of launches, and between them
// launches whose blocks wait for each other, which not every driver captures.
type recording struct {
	driver *driver
	parts  []part
}

// part is a graph that can be launched, or a single launch.
type part struct {
	graph  uintptr
	single *gpu.Launch
}

func (d *driver) Record(launches []gpu.Launch) (gpu.Recording, error) {
	r := &recording{driver: d}
	for len(launches) > 0 {
		n := 0
		for n < len(launches) && !launches[n].Resident {
			n++
		}
		p, err := part{single: &launches[0]}, error(nil)
		if n > 0 {
			p, err = d.capturePart(launches[:n])
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.parts = append(r.parts, p)
		launches = launches[max(n, 1):]
	}
	return r, nil
}

// capturePart makes a graph of launches.
func (d *driver) capturePart(launches []gpu.Launch) (p part, err error) {
	err = d.do(func() error {
		l := d.lib
		const relaxed = 2
		if err := l.call("beginning a graph", l.captureBegin, d.capture, relaxed); err != nil {
			return err
		}
		var graph uintptr
		var failed error
		for i := range launches {
			if failed = d.launch(&launches[i], d.capture); failed != nil {
				break
			}
		}
		err := errors.Join(failed, l.call("ending a graph", l.captureEnd, d.capture, uintptr(unsafe.Pointer(&graph))))
		if err == nil {
			err = l.call("instantiating a graph", l.graphInstantiate, uintptr(unsafe.Pointer(&p.graph)), graph, 0)
		}
		if graph != 0 {
			err = errors.Join(err, l.call("freeing a graph", l.graphDestroy, graph))
		}
		return err
	})
	return p, err
}

func (r *recording) Replay() error {
	d := r.driver
	return d.do(func() error {
		for _, p := range r.parts {
			err := error(nil)
			if p.single != nil {
				err = d.launch(p.single, d.stream)
			} else {
				err = d.lib.call("launching a graph", d.lib.graphLaunch, p.graph, d.stream)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Close waits for the replays under way.
func (r *recording) Close() error {
	d := r.driver
	if len(r.parts) == 0 {
		return nil
	}
	return d.do(func() error {
		errs := []error{d.wait()}
		for _, p := range r.parts {
			if p.graph != 0 {
				errs = append(errs, d.lib.call("freeing a graph", d.lib.graphExecDestroy, p.graph))
			}
		}
		r.parts = nil
		return errors.Join(errs...)
	})
}
