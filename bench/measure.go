package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runCase prepares a case on every lane, compares their outputs, and times
// them in turns, so that a machine that slows down slows all of them. If ctx
// ends it the rows that have all their samples stay.
func (t *tierRun) runCase(ctx context.Context, c benchCase, members []*member) error {
	times := make([][]time.Duration, len(members))
	rows := make([]Result, len(members))
	for i, m := range members {
		if rows[i] = t.prepare(ctx, c, m); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for run := range t.runs {
		for i, m := range members {
			if rows[i].Error != "" || ctx.Err() != nil {
				t.done++
				continue
			}
			t.step(m.entry, c.name, fmt.Sprintf("run %d of %d", run+1, t.runs), 1)
			if n := len(times[i]); ctx.Err() != nil || n > 0 && m.left < times[i][n-1] {
				continue // interrupted, or another sample would take more than is left of the row's time
			}
			if _, elapsed, ok := t.request(ctx, m, &rows[i], request{Do: doCall, Times: t.calls}); ok {
				times[i] = append(times[i], elapsed)
			}
		}
	}
	for i, m := range members {
		if ctx.Err() != nil && len(times[i]) < t.runs {
			continue
		}
		if rows[i].Error == "" {
			t.summarize(c, m, &rows[i], times[i])
		}
		t.results = append(t.results, rows[i])
	}
	return ctx.Err()
}

// prepare loads a case, runs it once for its output, and warms it up. The
// result has an error if the lane is not to be timed.
func (t *tierRun) prepare(ctx context.Context, c benchCase, m *member) Result {
	if m.slow { // in the last case, where its process was killed
		t.step(m.entry, c.name, "starting", 0)
		t.launch(ctx, m)
		t.introduce(m)
	}
	row := t.row(m.entry, c.name, m.failure)
	m.left = t.RowLimit
	if m.process == nil {
		t.done += 2
		return row
	}
	t.step(m.entry, c.name, "loading", 2)
	j := c.job
	j.Tier, j.Model, j.Device, j.DType, j.Threads = t.name, t.folder, m.backend, m.dtype, t.Threads
	j.Cache = filepath.Join(t.Cache, convertedFolder)
	answer, _, ok := t.request(ctx, m, &row, request{Do: doLoad, Job: &j})
	if !ok {
		return row
	}
	if answer.DType != "" {
		row.DType = answer.DType
	}
	answer, _, ok = t.request(ctx, m, &row, request{Do: doCall, Times: 1, Count: !m.peer})
	if !ok {
		return row
	}
	if out := answer.Output; out != nil && c.job.NewTokens > 0 && len(out.Tokens) < c.job.NewTokens {
		row.Error = fmt.Sprintf("ERR: it wrote %d of %d tokens, which is all that fits", len(out.Tokens), c.job.NewTokens)
		return row
	}
	if answer.Work != nil && t.work[c.name] == nil {
		t.work[c.name] = answer.Work
	}
	if t.compare(c, m, &row, answer.Output); row.Error != "" {
		return row
	}
	if t.warmup > 1 {
		t.request(ctx, m, &row, request{Do: doCall, Times: t.warmup - 1})
	}
	return row
}

// request asks a lane; false means that the row's error is set.
func (t *tierRun) request(ctx context.Context, m *member, row *Result, r request) (reply, time.Duration, bool) {
	answer, elapsed, err := m.turn(ctx, r)
	switch {
	case m.slow:
		row.Error = fmt.Sprintf("ERR: slower than %s: its calls were given up (--row-limit)", durationText(t.RowLimit))
	case err != nil:
		row.Error = m.failure
	case answer.Absent != "":
		row.Error = "-: " + oneLine(answer.Absent)
	case answer.Error != "":
		row.Error = "ERR: " + oneLine(answer.Error)
	}
	return answer, elapsed, row.Error == ""
}

// durationText is a duration as one types it: 5m, not 5m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// compare holds an output against that of emily's first lane in the same
// precision. emily's lanes must agree; a peer that does not is told of.
func (t *tierRun) compare(c benchCase, m *member, row *Result, out *output) {
	key := c.name + " " + m.dtype
	reference := t.reference[key]
	switch {
	case out == nil:
		row.Error = "ERR: the lane returned no output"
	case m.peer:
		t.peerOutputs = append(t.peerOutputs, peerOutput{m.entry, c.name, out})
	case reference == nil:
		t.reference[key] = out
	default:
		switch difference := out.differs(reference); {
		case difference == "":
		case m.dtype == "bf16" && out.startsLike(reference):
			t.report.note(t.name, "%s (bf16), %s: another text than the first lane's, as rounding may give: %s.", m.name, c.name, difference)
		default:
			row.Error = "WRONG: " + difference
		}
	}
}

// peerOutput waits for a reference: peers may run before emily's lanes.
type peerOutput struct {
	entry
	name   string
	output *output
}

// notePeers tells of peers whose output is another one. It is no error: their
// rounding is their own, and one token that differs changes all after it.
func (t *tierRun) notePeers() {
	for _, p := range t.peerOutputs {
		reference := t.reference[p.name+" "+p.dtype]
		if reference == nil { // not run, or a dtype of the peer's own
			reference = t.reference[p.name+" f32"]
		}
		if reference == nil {
			continue
		}
		if difference := p.output.differs(reference); difference != "" {
			t.report.note(t.name, "%s (%s), %s: another output than emily's: %s.", p.entry.name, p.dtype, p.name, difference)
		}
	}
}

// summarize turns times into the row's figures.
func (t *tierRun) summarize(c benchCase, m *member, row *Result, times []time.Duration) {
	total := 0.0
	for _, d := range times {
		seconds := d.Seconds() / float64(t.calls)
		total += seconds
		row.Samples = append(row.Samples, t.value(seconds, c))
	}
	mean := t.value(total/float64(len(times)), c)
	least, most := slices.Min(row.Samples), slices.Max(row.Samples)
	row.Value, row.Min, row.Max, row.PeakRSS = &mean, &least, &most, m.peak
	if len(times) < t.runs {
		t.report.note(t.name, "%s (%s), %s: %d of %d samples, since a row has %s.", m.name, row.DType, c.name, len(times), t.runs, durationText(t.RowLimit))
	}
}
