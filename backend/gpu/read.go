package gpu

import (
	"fmt"
	"time"
)

// pieceBytes is what a thread reads at once.
const pieceBytes = 16

// ReadMemory returns how long the device takes to read so many bytes of its memory some times, one after the other, and
// to do nothing else.
func (b *Backend) ReadMemory(bytes, times int) (time.Duration, error) {
	const blocksPerUnit = 8
	pieces, blocks := bytes/pieceBytes, b.info.Units*blocksPerUnit
	if pieces < 1 || pieces > 1<<31-1 || times < 1 {
		return 0, fmt.Errorf("reading %d bytes %d times cannot be measured", bytes, times)
	}
	from, err := b.memory(pieces * pieceBytes)
	if err != nil {
		return 0, err
	}
	defer b.driver.Free(from)
	to, err := b.memory(4 * blocks * blockThreads)
	if err != nil {
		return 0, err
	}
	defer b.driver.Free(to)
	source := Span{from, 0, from.Bytes}
	if err := b.driver.Zero(source); err != nil {
		return 0, err
	}
	read := Launch{Kernel: b.kernels[readMemory], Grid: [3]int{blocks, 1, 1}, Threads: blockThreads, Spans: []Span{source, {to, 0, to.Bytes}},
		Args: bytesOf(readArgs{pieces: i32(pieces), threads: i32(blocks * blockThreads)})}
	var start time.Time
	for i := range times + 1 { // the first does not count
		if err := b.driver.Launch(&read); err != nil {
			return 0, err
		}
		if i == 0 {
			if err := b.driver.Synchronize(); err != nil {
				return 0, err
			}
			start = time.Now()
		}
	}
	err = b.driver.Synchronize()
	return time.Since(start), err
}
