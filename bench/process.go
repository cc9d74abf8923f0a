package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	helloTimeout    = 5 * time.Minute  // imports of a Python peer from a cold disk
	loadTimeout     = 20 * time.Minute // converting and compiling
	defaultRowLimit = 5 * time.Minute
	maxLine         = 16 << 20
)

// process is a running lane.
type process struct {
	hello
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan []byte // of standard output; closed at its end
	stderr tail
}

// exitError is a lane that ended by itself.
type exitError struct {
	code int // 128 and the signal's number for one that was killed
	last string
}

func (e *exitError) Error() string {
	if e.last == "" {
		return fmt.Sprintf("exit %d", e.code)
	}
	return fmt.Sprintf("exit %d: %s", e.code, e.last)
}

// lateError is a lane that did not answer in time.
type lateError struct{ limit time.Duration }

func (e *lateError) Error() string { return fmt.Sprintf("no answer within %s", e.limit) }

// startProcess runs a command and reads its hello. env is added to the environment.
func startProcess(ctx context.Context, command, env []string) (*process, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), lines: make(chan []byte)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = &p.stderr
	ownGroup(p.cmd) // Ctrl-C is for emily, which ends its lanes itself
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.read(stdout)
	line, err := p.line(ctx, helloTimeout)
	if err == nil {
		err = json.Unmarshal(line, &p.hello)
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	return p, nil
}

func (p *process) read(stdout io.Reader) {
	defer close(p.lines)
	s := bufio.NewScanner(stdout)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		p.lines <- append([]byte(nil), s.Bytes()...)
	}
}

// line waits for the next line of output.
func (p *process) line(ctx context.Context, limit time.Duration) ([]byte, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case line, ok := <-p.lines:
		if !ok {
			return nil, p.ended()
		}
		return line, nil
	case <-timer.C:
		return nil, &lateError{limit}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ended says why the process ended by itself.
func (p *process) ended() error {
	p.stdin.Close()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return &exitError{exitCode(exit.ProcessState), p.stderr.lastLine()}
	case err != nil:
		return err
	}
	return &exitError{0, p.stderr.lastLine()}
}

// ask sends a request and returns the reply and the time until it came.
func (p *process) ask(ctx context.Context, r request, limit time.Duration) (reply, time.Duration, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return reply{}, 0, err
	}
	start := time.Now()
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		if _, err := p.line(ctx, time.Second); err != nil { // it says why better
			return reply{}, 0, err
		}
		return reply{}, 0, err
	}
	answer, err := p.line(ctx, limit)
	elapsed := time.Since(start)
	if err != nil {
		return reply{}, elapsed, err
	}
	var a reply
	if err := json.Unmarshal(answer, &a); err != nil {
		return reply{}, elapsed, fmt.Errorf("the lane answered %.80q: %w", answer, err)
	}
	return a, elapsed, nil
}

// close ends the process: it is asked to by the end of its input, then killed.
func (p *process) close() {
	if p.cmd.ProcessState != nil { // it has ended and was waited for
		return
	}
	resume(p.cmd.Process)
	p.stdin.Close()
	timer := time.AfterFunc(3*time.Second, func() { kill(p.cmd.Process) })
	defer timer.Stop()
	for range p.lines { // until its end
	}
	p.cmd.Wait()
}

// peakRSS is the largest resident memory of the process so far, 0 if unknown.
func (p *process) peakRSS() int64 {
	if p.cmd.ProcessState != nil {
		return 0
	}
	return peakRSS(p.cmd.Process.Pid)
}

// tail keeps the end of what a process writes to standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const most = 4096
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text) - most; n > 0 {
		t.text = append(t.text[:0], t.text[n:]...)
	}
	return len(b), nil
}

// lastLine is the last line that says something.
func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
