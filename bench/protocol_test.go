package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"emily/backend"
	"emily/backend/cpu"
)

// TestMain lets the test binary be a lane: emily's own, or a peer that behaves
// as its name says.
func TestMain(m *testing.M) {
	switch kind, name, _ := strings.Cut(os.Getenv("BENCH_TEST_LANE"), " "); kind {
	case "emily":
		lane, err := backend.ParseLane(name)
		if err == nil {
			err = Serve(context.Background(), os.Stdin, os.Stdout, LaneOptions{
				Lane: lane, Version: "test", Open: func(threads int) (backend.Backend, error) { return cpu.New(cpu.Options{Threads: threads}) },
			})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "peer":
		os.Exit(fakePeer(name))
	default:
		os.Exit(m.Run())
	}
}

// fakePeer speaks the protocol, well or badly.
func fakePeer(kind string) int {
	say := func(v any) { json.NewEncoder(os.Stdout).Encode(v) }
	switch kind {
	case "gone":
		fmt.Fprintln(os.Stderr, "noise\nno module named gone")
		return 3
	case "missing":
		say(hello{Absent: "gone is not installed"})
		return 0
	case "babble":
		fmt.Println("Welcome!")
		return 0
	}
	say(hello{Version: "fake 1", Device: "CPU", Settings: "as it comes"})
	lines := bufio.NewScanner(os.Stdin)
	calls, stuck := 0, false
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return 4
		}
		switch {
		case kind == "refuses" && r.Do == doLoad:
			say(reply{Absent: "f32 only"})
		case kind == "fails" && r.Do == doCall:
			say(reply{Error: "ValueError: odd"})
		case kind == "killed" && r.Do == doCall:
			kill(&os.Process{Pid: os.Getpid()})
			time.Sleep(time.Minute)
		case kind == "stuck" && r.Do == doLoad:
			stuck = r.Job.Op == "exp" && r.Job.N == 1024/64
			say(reply{})
		case r.Do == doLoad:
			say(reply{DType: map[string]string{"own": "q8_0"}[kind]})
		default:
			if stuck {
				time.Sleep(time.Minute)
			}
			if kind == "slow" {
				time.Sleep(200 * time.Millisecond)
			}
			calls += r.Times
			number := 1.0
			if kind == "counts" {
				number = float64(calls)
			}
			say(reply{Output: &output{Number: &number}})
		}
	}
	return 0
}

// testLane is the command of the test binary as a lane.
func testLane(t *testing.T, kind, name string) []string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"env", "BENCH_TEST_LANE=" + kind + " " + name, self}
}

func TestProcess(t *testing.T) {
	p, err := startProcess(t.Context(), testLane(t, "peer", "counts"), []string{"A=b"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if p.Version != "fake 1" || p.Settings != "as it comes" {
		t.Errorf("hello: %+v", p.hello)
	}
	for i, want := range []float64{3, 8} {
		pause(p.cmd.Process)
		resume(p.cmd.Process)
		a, elapsed, err := p.ask(t.Context(), request{Do: doCall, Times: []int{3, 5}[i]}, loadTimeout)
		if err != nil {
			t.Fatal(err)
		}
		if a.Output == nil || a.Output.Number == nil || *a.Output.Number != want || elapsed <= 0 {
			t.Errorf("call %d: %+v after %s, want %g calls", i, a.Output, elapsed, want)
		}
	}
	if total, _, err := Memory(); err == nil && (p.peakRSS() <= 0 || p.peakRSS() > total) {
		t.Errorf("peak memory is %d", p.peakRSS())
	}
}

func TestProcessEnds(t *testing.T) {
	for _, tt := range []struct{ kind, want string }{
		{"gone", "exit 3: no module named gone"},
		{"babble", "invalid character"},
	} {
		_, err := startProcess(t.Context(), testLane(t, "peer", tt.kind), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.kind, err, tt.want)
		}
	}
	if _, err := startProcess(t.Context(), []string{"/no/such/program"}, nil); err == nil {
		t.Error("a program that does not exist starts")
	}
	p, err := startProcess(t.Context(), testLane(t, "peer", "killed"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	_, _, err = p.ask(t.Context(), request{Do: doCall, Times: 1}, loadTimeout)
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != 137 {
		t.Errorf("killed: %v, want exit 137", err)
	}
	if got := failure(err); !strings.HasPrefix(got, "exit 137: ") {
		t.Errorf("the result says %q", got)
	}
}

func TestProcessCancel(t *testing.T) {
	p, err := startProcess(t.Context(), []string{"sh", "-c", `echo '{"version":"slow"}'; read line; sleep 60`}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, _, err := p.ask(ctx, request{Do: doCall}, loadTimeout); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	kill(p.cmd.Process)
	p.close()
}

func TestDiffers(t *testing.T) {
	number := func(x float64) *output { return &output{Number: &x} }
	label := func(i int) *output { return &output{Label: &i} }
	for _, tt := range []struct {
		name           string
		out, reference *output
		want           string
	}{
		{"same number", number(1), number(1), ""},
		{"rounding", number(1 + 1e-6), number(1), ""},
		{"another number", number(1 + 1e-4), number(1), "1.0001 instead of 1"},
		{"no number", &output{}, number(1), "nothing instead of 1"},
		{"nothing", nil, number(1), "there is no output"},
		{"same label", label(3), label(3), ""},
		{"another label", label(3), label(4), "label 3 instead of 4"},
		{"label 0", label(0), label(1), "label 0 instead of 1"},
		{"same span", &output{Span: []int{1, 2}}, &output{Span: []int{1, 2}}, ""},
		{"another span", &output{Span: []int{1, 3}}, &output{Span: []int{1, 2}}, "answer at tokens [1 3] instead of [1 2]"},
		{"same tokens", &output{Tokens: []int32{1, 2}}, &output{Tokens: []int32{1, 2}}, ""},
		{"another token", &output{Tokens: []int32{1, 2, 3}}, &output{Tokens: []int32{1, 4, 3}}, "3 tokens, of which the first 1 are those of the 3 expected"},
		{"fewer tokens", &output{Tokens: []int32{1}}, &output{Tokens: []int32{1, 4}}, "1 tokens, of which the first 1 are those of the 2 expected"},
	} {
		if got := tt.out.differs(tt.reference); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRepeated(t *testing.T) {
	for _, tt := range []struct {
		length int
		want   []int32
	}{{0, []int32{1, 2, 3}}, {2, []int32{1, 2}}, {3, []int32{1, 2, 3}}, {7, []int32{1, 2, 3, 1, 2, 3, 1}}} {
		if got := (&job{PromptTokens: tt.length}).repeated([]int32{1, 2, 3}); !slices.Equal(got, tt.want) {
			t.Errorf("length %d: %v, want %v", tt.length, got, tt.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine(" \x1b[96mFailed\x1b[0m to\n  export "); got != "Failed to export" {
		t.Errorf("got %q", got)
	}
}

func TestStartsLike(t *testing.T) {
	reference := &output{Tokens: []int32{1, 2, 3}}
	for _, tt := range []struct {
		tokens []int32
		want   bool
	}{{[]int32{1, 2, 3}, true}, {[]int32{1, 9, 9}, true}, {[]int32{9, 2, 3}, false}, {[]int32{1, 2}, false}, {nil, false}} {
		if got := (&output{Tokens: tt.tokens}).startsLike(reference); got != tt.want {
			t.Errorf("%v starts like %v: %v", tt.tokens, reference.Tokens, got)
		}
	}
}
