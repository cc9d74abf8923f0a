//go:build race

package cpu_test

// raceDetector slows the suite down twentyfold.
const raceDetector = true
