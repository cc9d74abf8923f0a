package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"emily/arch"
	_ "emily/arch/bert" // the architectures that the tiers run
	_ "emily/arch/qwen3"
	_ "emily/arch/vit"
	"emily/backend"
	"emily/bench/roofline"
)

// LaneOptions say which of emily's lanes Serve is.
type LaneOptions struct {
	Lane    backend.Lane
	Version string
	// Open starts the device. The lane closes it.
	Open func(threads int) (backend.Backend, error)
}

// Serve is one of emily's lanes: it answers requests until the end of in. It
// runs in a process of its own, so that every lane's memory is its own and all
// lanes are timed from outside in one way.
func Serve(ctx context.Context, in io.Reader, out io.Writer, opt LaneOptions) error {
	replies := json.NewEncoder(out)
	if err := replies.Encode(hello{Version: opt.Version, Settings: opt.Lane.String() + " lane"}); err != nil {
		return err
	}
	l := lane{LaneOptions: opt}
	defer l.unload()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var r request
		err := json.Unmarshal(lines.Bytes(), &r)
		var answer reply
		if err == nil {
			answer, err = l.answer(ctx, r)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		if err := replies.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// task is a loaded job.
type task interface {
	call(ctx context.Context) (*output, error)
	close() error
}

// tasks make the task of each tier.
var tasks = map[string]func(context.Context, *job, arch.Options) (task, error){
	"1": newOpTask, "2": newAnswerTask, "3": newGenerateTask, "4": newClassifyTask, "5": newTranscribeTask, "addendum": newGenerateTask,
}

type lane struct {
	LaneOptions
	counter *counter
	task    task
}

func (l *lane) answer(ctx context.Context, r request) (reply, error) {
	switch r.Do {
	case doLoad:
		return reply{}, l.load(ctx, r.Job)
	case doCall:
		return l.call(ctx, r)
	}
	return reply{}, fmt.Errorf("unknown request %q", r.Do)
}

func (l *lane) load(ctx context.Context, j *job) error {
	if err := l.unload(); err != nil {
		return err
	}
	if j == nil || tasks[j.Tier] == nil {
		return errors.New("the request names no tier that emily knows")
	}
	dtype, err := backend.ParseDType(j.DType)
	if err != nil {
		return err
	}
	b, err := l.Open(j.Threads)
	if err != nil {
		return err
	}
	l.counter = &counter{Backend: b}
	l.task, err = tasks[j.Tier](ctx, j, arch.Options{Backend: l.counter, Lane: l.Lane, DType: dtype})
	return err
}

func (l *lane) call(ctx context.Context, r request) (reply, error) {
	if l.task == nil {
		return reply{}, errors.New("no job is loaded")
	}
	var answer reply
	var err error
	if r.Count {
		l.counter.start()
	}
	for range max(1, r.Times) {
		if answer.Output, err = l.task.call(ctx); err != nil {
			return answer, err
		}
	}
	if r.Count {
		answer.Work, err = l.counter.stop()
	}
	return answer, err
}

func (l *lane) unload() error {
	var err error
	if l.task != nil {
		err = l.task.close()
	}
	if l.counter != nil {
		err = errors.Join(err, l.counter.Close())
	}
	l.task, l.counter = nil, nil
	return err
}

// counter is a backend that can count the work of the programs that run.
type counter struct {
	backend.Backend
	on   bool
	work []roofline.Work
	err  error
}

func (c *counter) start() { c.on, c.work, c.err = true, nil, nil }

func (c *counter) stop() ([]roofline.Work, error) {
	c.on = false
	return c.work, c.err
}

// Compile wraps the program, whose sessions count.
func (c *counter) Compile(p *backend.Plan) (backend.Program, error) {
	program, err := c.Backend.Compile(p)
	if err != nil {
		return nil, err
	}
	return &countedProgram{program, c}, nil
}

type countedProgram struct {
	backend.Program
	counter *counter
}

func (p *countedProgram) Bind(states ...backend.State) (backend.Session, error) {
	s, err := p.Program.Bind(states...)
	if err != nil {
		return nil, err
	}
	return &countedSession{s, p, states}, nil
}

type countedSession struct {
	backend.Session
	program *countedProgram
	states  []backend.State
}

func (s *countedSession) Run(ctx context.Context, in, out []backend.Buffer) error {
	s.count(positions(s.program.Plan().Recorded, in))
	return s.Session.Run(ctx, in, out)
}

// Steps counts the runs whose tokens are taken: those that a device has run
// ahead of the end are no work that the call needs.
func (s *countedSession) Steps(ctx context.Context, n int, yield func(int32) bool) (int, error) {
	if !s.program.counter.on {
		return s.Session.Steps(ctx, n, yield)
	}
	end, err := s.place()
	if err != nil {
		return 0, err
	}
	return s.Session.Steps(ctx, n, func(token int32) bool {
		s.count(end)
		end++
		return yield(token)
	})
}

// place is how far the caches are filled after the first run of the closed
// loop, which keeps its table of segments, I32 [n, 3], in a state.
func (s *countedSession) place() (int, error) {
	for _, st := range s.states {
		if spec := st.Spec(); spec.DType == backend.I32 && len(spec.Shape) == 2 && spec.Shape[1] == 3 {
			table := make([]byte, spec.Bytes())
			err := st.Read(table, 0)
			return filled(ints(table)), err
		}
	}
	return 0, nil
}

// count adds the work of one run.
func (s *countedSession) count(positions int) {
	c := s.program.counter
	if !c.on {
		return
	}
	work, err := leastWork(c.Backend, s.program.Plan().Recorded, positions)
	c.work, c.err = append(c.work, work), errors.Join(c.err, err)
}

// leastWork is what one run of a graph needs at least, whatever the lane: the
// operations of the fused plan, and its bytes but for intermediate results,
// which a machine with large enough caches never writes to memory.
func leastWork(b backend.Backend, g *backend.Graph, positions int) (roofline.Work, error) {
	p, err := backend.NewPlan(b, g, backend.Options{Lane: backend.Fuse})
	if err != nil {
		return roofline.Work{}, err
	}
	cost := p.Cost(positions)
	w := roofline.Work{Bytes: cost.Bytes, FLOPs: cost.FLOPs}
	for _, step := range p.Steps {
		for _, slots := range [][]backend.Slot{step.Args, step.Outs} {
			for _, s := range slots {
				if s.Place == backend.InArena && s.Tensor != nil {
					w.Bytes -= int64(s.Tensor.Bytes())
				}
			}
		}
	}
	return w, nil
}

// positions is how far the caches are filled after a run: the end of the
// longest segment, 0 for a graph without segments.
func positions(g *backend.Graph, in []backend.Buffer) int {
	for i, t := range g.Inputs() {
		if t.Attrs().Name == "segments" && i < len(in) {
			return filled(ints(in[i]))
		}
	}
	return 0
}

// filled is the end of the longest of some segments.
func filled(table []int32) (end int) {
	for ; len(table) >= 3; table = table[3:] {
		end = max(end, int(table[1]+table[2]))
	}
	return end
}
