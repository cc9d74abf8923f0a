package qwen3

import "testing"

func TestWindow(t *testing.T) {
	size := func(n int) *int { return &n }
	for _, tt := range []struct {
		name  string
		c     Config
		layer int
		want  int
	}{
		{"none", Config{family: family{windows: always}}, 0, 0},
		{"always", Config{family: family{windows: always}, SlidingWindow: size(4096)}, 0, 4096},
		{"longer than any text", Config{family: family{windows: always}, SlidingWindow: size(1<<32 + 3)}, 0, 0},
		{"not in use", Config{family: family{windows: chosen}, SlidingWindow: size(4096)}, 5, 0},
		{"the first layers see all", Config{family: family{windows: chosen}, UseSlidingWindow: true, MaxWindowLayers: 2, SlidingWindow: size(4096)}, 1, 0},
		{"the others do not", Config{family: family{windows: chosen}, UseSlidingWindow: true, MaxWindowLayers: 2, SlidingWindow: size(4096)}, 2, 4096},
	} {
		if got := tt.c.window(tt.layer); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
