package hub

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"emily/loader/hub/hubtest"
)

// BenchmarkFetch downloads 256 MiB over the loopback interface: as emily does,
// to the disk and checked, and as curl into sha256sum, which stores nothing.
func BenchmarkFetch(b *testing.B) {
	const size = 256 << 20
	s := hubtest.New(b)
	commit := s.Add("org/name", map[string]string{bigFile: random(3, size)})
	b.Run("emily", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			c, err := New(Options{Getenv: s.Env(b.TempDir())})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := pull(b.Context(), c, "org/name"); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			os.RemoveAll(c.cache.Dir)
			b.StartTimer()
		}
	})
	address := s.URL + "/org/name/resolve/" + commit + "/" + bigFile
	file := filepath.Join(b.TempDir(), "file")
	for name, command := range map[string]string{
		"curl-sha256sum":         "curl -sL '" + address + "' | sha256sum",
		"curl-to-disk-sha256sum": "curl -sL '" + address + "' -o '" + file + "' && sync '" + file + "' && sha256sum '" + file + "'",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
					b.Skipf("%v: %s", err, out)
				}
			}
		})
	}
}
