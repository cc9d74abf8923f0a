//go:build !unix

package kernel

import "testing"

func guarded(t testing.TB, n int, atEnd bool) []byte { return make([]byte, n) }
