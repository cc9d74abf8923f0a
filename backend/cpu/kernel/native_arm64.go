//go:build !noasm

package kernel

func native() []*Set { return nil }
