//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestInterruptedPull sends what Ctrl-C sends, and pulls again.
func TestInterruptedPull(t *testing.T) {
	s, _ := testHub(t, "tiny-llama")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "pull", "org/tiny-llama")
	cmd.Env = append(os.Environ(), "EMILY_TEST_MAIN=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	var once sync.Once
	started := make(chan struct{})
	s.OnSent(func(total int64) {
		if total < 100_000 {
			return
		}
		once.Do(func() {
			<-started
			cmd.Process.Signal(syscall.SIGINT)
		})
		time.Sleep(50 * time.Millisecond)
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("got %v, want exit code %d", err, exitInterrupted)
	}
	if !strings.HasSuffix(stderr.String(), "emily: interrupted; the next download of this model continues here\n") {
		t.Errorf("stderr %q", stderr.String())
	}
	if out := succeed(t, "", "models"); !strings.Contains(out, "org/tiny-llama") {
		t.Errorf("nothing was kept: %q", out)
	}
	succeed(t, "", "pull", "org/tiny-llama")
	succeed(t, "", "info", "org/tiny-llama")
}
