package gpu

import (
	"errors"
	"fmt"
)

// pieceBytes is what a thread reads at once.
const pieceBytes = 16

// Reading returns what reads so many bytes of the device's memory some times, one after the other, and does nothing
// else until it has, and what frees them.
func (b *Backend) Reading(bytes int) (read func(times int) error, free func(), err error) {
	const blocksPerUnit = 8
	pieces, blocks := bytes/pieceBytes, b.info.Units*blocksPerUnit
	if pieces < 1 || pieces > 1<<31-1 {
		return nil, nil, fmt.Errorf("the reading of %d bytes cannot be measured", bytes)
	}
	from, err := b.memory(pieces * pieceBytes)
	if err != nil {
		return nil, nil, err
	}
	to, err := b.memory(4 * blocks * blockThreads)
	if err != nil {
		b.driver.Free(from)
		return nil, nil, err
	}
	free = func() {
		b.driver.Free(to)
		b.driver.Free(from)
	}
	source := Span{from, 0, from.Bytes}
	if err := b.driver.Zero(source); err != nil {
		free()
		return nil, nil, err
	}
	launch := Launch{Kernel: b.kernels[readMemory], Grid: [3]int{blocks, 1, 1}, Threads: blockThreads, Spans: []Span{source, {to, 0, to.Bytes}},
		Args: bytesOf(readArgs{pieces: i32(pieces), threads: i32(blocks * blockThreads)})}
	read = func(times int) (err error) {
		for i := 0; i < times && err == nil; i++ {
			err = b.driver.Launch(&launch)
		}
		return errors.Join(err, b.driver.Synchronize())
	}
	return read, free, nil
}
