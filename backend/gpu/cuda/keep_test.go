//go:build linux && !nogpu

package cuda

import (
	"testing"

	"emily/backend/gpu"
)

func TestKeep(t *testing.T) {
	var k keep
	if _, ok := k.take(8); ok {
		t.Error("memory that nobody freed")
	}
	if !k.keep(gpu.Memory{Handle: 1, Bytes: 8}) || !k.keep(gpu.Memory{Handle: 2, Bytes: 8}) || k.keep(gpu.Memory{Handle: 3, Bytes: mostKept + 1}) {
		t.Error("the size decides what is kept")
	}
	if _, ok := k.take(9); ok {
		t.Error("memory of another size")
	}
	if m, ok := k.take(8); !ok || m.Handle != 2 {
		t.Errorf("%v, want the last that was freed", m)
	}
	if all := k.all(); len(all) != 1 || all[0].Handle != 1 || k.bytes != 0 {
		t.Errorf("left are %v and %d bytes", all, k.bytes)
	}
	for i := range 100 {
		k.keep(gpu.Memory{Handle: uintptr(i), Bytes: mostKept})
	}
	if n := len(k.all()); n != keptBytes/mostKept {
		t.Errorf("%d kept, want %d", n, keptBytes/mostKept)
	}
}
