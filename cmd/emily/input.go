package main

import (
	"fmt"
	"io"
	"os"
)

// maxInput bounds texts that are read whole.
const maxInput = 64 << 20

// readInput reads a file, or standard input for -, of at most maxInput bytes.
func readInput(std stdio, path string) (string, error) {
	r, name := std.in, "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r, name = f, path
	}
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("%s is longer than %d MiB: cut it into pieces", name, maxInput>>20)
	}
	return string(text), err
}
