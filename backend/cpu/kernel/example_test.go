package kernel_test

import (
	"fmt"

	"emily/backend/cpu/kernel"
)

func ExampleNamed() {
	s, err := kernel.Named("generic")
	if err != nil {
		fmt.Println(err)
		return
	}
	// Two weight rows of three bf16 numbers, times one activation row.
	weights := make([]byte, 2*3*2)
	s.BFloat16.Narrow(weights, []float32{1, 2, 3, 4, 5, 6})
	y := make([]float32, 2)
	s.BFloat16.Gemv(y, 2, []float32{1, 0, -1}, 3, weights, 3, 1, 2, 3)
	fmt.Println(s.Name, y)
	// Output: generic [-2 -2]
}
