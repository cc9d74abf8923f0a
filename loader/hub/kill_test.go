//go:build unix

package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"emily/loader/hub/hubtest"
)

// childPace has a span that is larger than all that three connections can have
// under way: pieces, and buffers of both sides.
var childPace = pace{
	piece: 32 << 10, span: 1 << 20, connections: 3, files: 2,
	attempts: 4, pause: time.Millisecond, longest: 10 * time.Millisecond, stall: 5 * time.Second,
}

// TestMain makes the test binary a program that pulls org/name, for tests that
// need processes.
func TestMain(m *testing.M) {
	if os.Getenv("EMILY_TEST_PULL") == "" {
		os.Exit(m.Run())
	}
	c, err := New(Options{})
	if err == nil {
		narrow(c)
		_, err = pull(context.Background(), c, "org/name")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// narrow gives a client the child's pace and small buffers.
func narrow(c *Client) {
	c.pace = childPace
	c.http = newHTTP(childPace)
	transport := c.http.Transport.(*http.Transport)
	transport.ReadBufferSize = 4 << 10
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetReadBuffer(64 << 10)
		}
		return conn, err
	}
}

// child returns a process that pulls org/name into a cache.
func child(t *testing.T, s *hubtest.Server, cache string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := s.Env(cache)
	cmd := exec.Command(program)
	cmd.Env = []string{"EMILY_TEST_PULL=1"}
	for _, name := range []string{"HF_ENDPOINT", "HF_HUB_CACHE", "HF_HOME"} {
		cmd.Env = append(cmd.Env, name+"="+env(name))
	}
	return cmd
}

func bytesOf(files map[string]string) (n int64) {
	distinct := map[string]bool{}
	for _, text := range files {
		if !distinct[text] {
			distinct[text] = true
			n += int64(len(text))
		}
	}
	return n
}

// TestKill kills the downloading process at 50 random points and resumes. The
// result is right, and at most one span is transferred twice.
func TestKill(t *testing.T) {
	s := hubtest.New(t)
	s.Narrow()
	files := map[string]string{
		"config.json": "{}", "tokenizer.json": random(5, 300_000),
		"model-00001-of-00002.safetensors": random(6, 3_000_000),
		"model-00002-of-00002.safetensors": random(7, 1_200_001),
	}
	s.Add("org/name", files)
	size := bytesOf(files)

	var mu sync.Mutex
	var at int64 // the process dies when so many bytes were sent in all
	var late time.Duration
	var process *os.Process
	s.OnSent(func(total int64) {
		mu.Lock()
		defer mu.Unlock()
		if process != nil && total >= at {
			time.Sleep(late)
			process.Kill()
			process = nil
		}
	})
	killed := 0
	for trial := range 50 {
		cache := filepath.Join(t.TempDir(), "hub")
		before := s.Total()
		cmd := child(t, s, cache)
		mu.Lock()
		at, late = before+rand.Int64N(size+1), 0
		if trial%5 == 0 { // while the last file gets its name
			at, late = before+size, time.Duration(rand.IntN(5000))*time.Microsecond
		}
		if err := cmd.Start(); err != nil {
			mu.Unlock()
			t.Fatal(err)
		}
		process = cmd.Process
		mu.Unlock()
		if cmd.Wait() != nil {
			killed++
		}
		mu.Lock()
		process = nil
		mu.Unlock()

		c := client(t, s, cache)
		narrow(c)
		r, err := pull(t.Context(), c, "org/name")
		if err != nil {
			t.Fatalf("resumed at %d: %v", at-before, err)
		}
		checkFiles(t, r, files)
		checkTidy(t, c.cache, "org/name")
		if sent := s.Total() - before; sent < size || sent > size+childPace.span {
			t.Errorf("killed at %d: %d bytes were sent for %d", at-before, sent, size)
		}
	}
	if killed < 35 {
		t.Errorf("only %d of 50 processes were killed before they ended", killed)
	}
}

// TestTwoProcesses lets two processes pull the same model at once: each byte
// is sent once.
func TestTwoProcesses(t *testing.T) {
	s := hubtest.New(t)
	files := map[string]string{"config.json": "{}", "a.safetensors": random(8, 900_000), "b.safetensors": random(9, 900_000)}
	s.Add("org/name", files)
	s.OnSent(func(int64) { time.Sleep(time.Millisecond) })
	cache := t.TempDir()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if out, err := child(t, s, cache).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	if s.Total() != bytesOf(files) {
		t.Errorf("%d bytes were sent for %d", s.Total(), bytesOf(files))
	}
	before := s.Total()
	r, err := pull(t.Context(), client(t, s, cache), "org/name")
	if err != nil || s.Total() != before {
		t.Fatal(err, s.Total()-before)
	}
	checkFiles(t, r, files)
}
