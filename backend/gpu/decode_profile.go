package gpu

import (
	"encoding/binary"
	"fmt"
)

// profileVariable is the environment variable that, if not empty, makes the
// decoder's kernel count the cycles of its parts. A session tells them as an
// event when it is closed.
const profileVariable = "EMILY_GPU_PROFILE"

// ticks name the parts of a step that the kernel counts, in the order of
// TICK in kernels/src/decode.cu.
var ticks = [...]struct {
	name  string
	layer bool // once a layer, not once a step
}{
	{"wait for the sums of down", true}, {"other warps", true}, {"queries, keys, values", true}, {"attention to a part of the keys", true}, {"attention", true},
	{"output", true}, {"wait for its sums", true}, {"other warps", true}, {"gate and up", true}, {"wait for a slice of both", true}, {"other warps", true},
	{"down", true}, {"wait for the last sums", false}, {"head", false}, {"best", false},
}

// profile is where the kernel counts, if it does.
func (d *decodeKernel) profile() operand {
	if !d.sizes.profiled {
		return operand{}
	}
	n := 8 * d.sizes.blocks * len(ticks)
	return operand{kind: inExchange, offset: d.sizes.exchange() - n, bytes: n}
}

// profile tells the mean and the most cycles of each part over the blocks.
func (s *session) profile() error {
	d, event := s.program.profiled, s.program.plan.Options.Event
	if d == nil || event == nil || s.memory == (Memory{}) {
		return nil
	}
	counts, epoch := make([]byte, d.profile().bytes), make([]byte, 4)
	if err := s.driver.Read(counts, s.span(d.profile())); err != nil {
		return err
	}
	if err := s.driver.Read(epoch, s.span(operand{kind: inExchange, bytes: 4})); err != nil {
		return err
	}
	steps := uint64(binary.NativeEndian.Uint32(epoch)) / uint64(d.sizes.layers+1)
	if steps == 0 {
		return nil
	}
	for i, tick := range ticks {
		var sum, most uint64
		for block := range d.sizes.blocks {
			n := binary.NativeEndian.Uint64(counts[8*(block*len(ticks)+i):])
			sum, most = sum+n, max(most, n)
		}
		times, each := steps, "step"
		if tick.layer {
			times, each = steps*uint64(d.sizes.layers), "layer"
		}
		event(fmt.Sprintf("cycles a %s, mean and most of the blocks: %6d %6d %s", each, sum/uint64(d.sizes.blocks)/times, most/times, tick.name))
	}
	return nil
}
