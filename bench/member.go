package bench

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// member is a lane that takes part in a group.
type member struct {
	entry
	process *process      // nil before it starts, and once it has failed
	failure string        // why
	slow    bool          // it failed by being slow, and may serve the next case
	left    time.Duration // for calls of the row
	peak    int64         // resident memory so far
}

// open starts the lanes' processes, which then wait for their turns. Most of
// the time goes to imports of one thread, so as many start at once as there are threads.
func (t *tierRun) open(ctx context.Context, entries []entry) []*member {
	var members []*member
	var starting sync.WaitGroup
	slots := make(chan struct{}, t.Threads)
	for _, e := range entries {
		m := &member{entry: e}
		members = append(members, m)
		if m.failure = t.refusal(e); m.failure != "" {
			continue
		}
		t.step(e, "", "starting", 0)
		starting.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.launch(ctx, m)
		})
	}
	starting.Wait()
	for _, m := range members {
		t.introduce(m)
	}
	return members
}

// refusal is why a lane is not started, "" if it is.
func (t *tierRun) refusal(e entry) string {
	if why := e.refuses(t.name, e.dtype); why != "" {
		return "-: " + why
	}
	if _, absent := t.command(e); absent != "" {
		t.peers[e.name] = Peer{Lane: e.name, Absent: absent}
		return "-: " + absent
	}
	if _, free, err := Memory(); err == nil && t.folder != "" {
		if need := e.memory(t.stored, t.parameter, e.dtype); need > free {
			return fmt.Sprintf("ERR: does not fit: it needs about %s of memory, %s are free", gigabytes(need), gigabytes(free))
		}
	}
	return ""
}

// launch runs a lane's process up to its hello.
func (t *tierRun) launch(ctx context.Context, m *member) {
	command, _ := t.command(m.entry)
	p, err := startProcess(ctx, command, threadVariables(t.Threads))
	if err != nil {
		m.failure = failure(err)
		return
	}
	m.process, m.failure, m.slow = p, "", false
	pause(p.cmd.Process)
}

// introduce takes in what a lane's process said of itself.
func (t *tierRun) introduce(m *member) {
	if m.process == nil {
		return
	}
	h := m.process.hello
	if m.peer {
		t.peers[m.name] = Peer{Lane: m.name, Version: h.Version, Settings: h.Settings, Absent: h.Absent}
	}
	if h.Absent != "" {
		m.close()
		m.failure = "-: " + h.Absent
	}
	if h.Device != "" && len(m.devices) == 0 {
		m.backend = strings.ToLower(h.Device)
	}
}

// command is how a lane is started, or why it cannot be.
func (t *tierRun) command(e entry) (command []string, absent string) {
	if e.peer {
		return t.Peer(e.name)
	}
	return t.Self(strings.TrimPrefix(e.name, "emily-"), e.backend), ""
}

// threadVariables give every library the processors that emily has.
func threadVariables(n int) []string {
	var env []string
	for _, name := range []string{"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "EMILY_BENCH_THREADS"} {
		env = append(env, fmt.Sprintf("%s=%d", name, n))
	}
	return append(env, "HF_HUB_OFFLINE=1", "TRANSFORMERS_VERBOSITY=error", "TOKENIZERS_PARALLELISM=false")
}

// turn lets a lane work on one request. Calls take from the row's time.
func (m *member) turn(ctx context.Context, r request) (reply, time.Duration, error) {
	const settle = 2 * time.Millisecond // a process that was stopped needs a moment
	limit := loadTimeout
	if r.Do == doCall {
		limit = m.left
	}
	resume(m.process.cmd.Process)
	time.Sleep(settle)
	answer, elapsed, err := m.process.ask(ctx, r, limit)
	if r.Do == doCall {
		m.left -= elapsed
	}
	var late *lateError
	switch {
	case r.Do == doCall && errors.As(err, &late):
		m.slow = true
	case err != nil:
		m.failure = failure(err)
	default:
		m.peak = max(m.peak, m.process.peakRSS())
		pause(m.process.cmd.Process)
		return answer, elapsed, nil
	}
	if m.slow || ctx.Err() != nil {
		m.peak = max(m.peak, m.process.peakRSS())
		kill(m.process.cmd.Process) // it works still, and would not see the end of its input
	}
	m.close()
	return answer, elapsed, err
}

func (m *member) close() {
	if m.process != nil {
		m.process.close()
		m.process = nil
	}
}

// failure turns an error into the text of a result.
func failure(err error) string {
	var exit *exitError
	if errors.As(err, &exit) {
		text := fmt.Sprintf("exit %d: %s", exit.code, exit.last)
		if exit.code == 137 {
			text = "exit 137: killed, most likely for memory"
		}
		return oneLine(text)
	}
	return "ERR: " + oneLine(err.Error())
}

// terminalCode is a colour or the like in what a program prints.
var terminalCode = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// oneLine makes a message fit for a line of a table or list.
func oneLine(s string) string {
	return strings.Join(strings.Fields(terminalCode.ReplaceAllString(s, "")), " ")
}
