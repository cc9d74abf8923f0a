package loader

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// evalShape evaluates a shape tag such as "heads*head_dim+1,hidden": dimensions
// separated by commas, each a sum of products of names from dims and numbers.
// The empty tag is the shape of a scalar.
func evalShape(tag string, dims map[string]int) ([]int, error) {
	shape := []int{}
	if tag == "" {
		return shape, nil
	}
	for expr := range strings.SplitSeq(tag, ",") {
		sum := 0
		for product := range strings.SplitSeq(expr, "+") {
			n := 1
			for factor := range strings.SplitSeq(product, "*") {
				value, err := evalFactor(strings.TrimSpace(factor), dims)
				if err != nil {
					return nil, err
				}
				hi, lo := bits.Mul64(uint64(n), uint64(value))
				if n = int(lo); hi != 0 || n < 0 {
					return nil, fmt.Errorf("dimension %s overflows", expr)
				}
			}
			if sum += n; sum < 0 {
				return nil, fmt.Errorf("dimension %s overflows", expr)
			}
		}
		shape = append(shape, sum)
	}
	return shape, nil
}

func evalFactor(factor string, dims map[string]int) (int, error) {
	value, known := dims[factor]
	if !known {
		n, err := strconv.Atoi(factor)
		if err != nil {
			return 0, fmt.Errorf("unknown dimension %q", factor)
		}
		value = n
	}
	if value < 0 {
		return 0, fmt.Errorf("dimension %s is negative: %d", factor, value)
	}
	return value, nil
}
