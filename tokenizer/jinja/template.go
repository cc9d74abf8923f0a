package jinja

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Limits bound what rendering may use. Zero fields stand for the defaults.
type Limits struct {
	Output int // bytes of the result; default 16 MiB
	Work   int // steps, and bytes made on the way; default 1<<26
	Calls  int // depth of macro calls; default 100
}

const maxSource = 1 << 20 // bytes of a template

// Template is a parsed template. It is immutable and safe for concurrent use.
type Template struct {
	body stmt
}

// Parse parses a template.
func Parse(src string) (*Template, error) {
	if len(src) > maxSource {
		return nil, fmt.Errorf("template of %d bytes; at most %d are read", len(src), maxSource)
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := parser{tokens: tokens}
	body, err := p.block()
	if err != nil {
		return nil, err
	}
	if p.peek().kind != end {
		return nil, p.errorf("unexpected %s", p.describe())
	}
	return &Template{body}, nil
}

// ErrLimit is what rendering fails with when it uses too much.
var ErrLimit = errors.New("template does too much work")

// run is the state of one rendering.
type run struct {
	ctx    context.Context
	limits Limits
	out    *strings.Builder
	work   int
	calls  int
}

// Render renders the template. vars are the names that it sees besides the built-in functions.
func (t *Template) Render(ctx context.Context, vars map[string]any, limits Limits) (string, error) {
	if limits.Output == 0 {
		limits.Output = 16 << 20
	}
	if limits.Work == 0 {
		limits.Work = 1 << 26
	}
	if limits.Calls == 0 {
		limits.Calls = 100
	}
	r := &run{ctx: ctx, limits: limits, out: &strings.Builder{}}
	globals := &scope{vars: map[string]any{}}
	for name, f := range globalFuncs {
		globals.vars[name] = f
	}
	for name, v := range vars {
		globals.vars[name] = v
	}
	top := &scope{vars: map[string]any{}, parent: globals}
	err := t.body(r, top)
	if err != nil {
		return "", err
	}
	return r.out.String(), nil
}

// charge accounts for n bytes of work.
func (r *run) charge(n int) error {
	if n < 0 || n > r.limits.Work-r.work {
		return ErrLimit
	}
	before := r.work
	r.work += n + 1
	if before>>12 != r.work>>12 {
		return r.ctx.Err()
	}
	return nil
}

// chargeTimes accounts for n bytes, times over.
func (r *run) chargeTimes(n int, times int64) error {
	if n > 0 && times > int64(r.limits.Work/n) {
		return ErrLimit
	}
	return r.charge(n * int(times))
}

func (r *run) write(s string) error {
	if len(s) > r.limits.Output-r.out.Len() {
		return fmt.Errorf("template writes more than %d bytes", r.limits.Output)
	}
	r.out.WriteString(s)
	return r.charge(len(s))
}

// capture returns what f writes.
func (r *run) capture(f func() error) (string, error) {
	outer := r.out
	r.out = &strings.Builder{}
	err := f()
	s := r.out.String()
	r.out = outer
	return s, err
}

// scope holds variables; assignments go to the innermost.
type scope struct {
	vars   map[string]any
	parent *scope
}

func (s *scope) inner() *scope { return &scope{parent: s} }

func (s *scope) set(name string, v any) {
	if s.vars == nil {
		s.vars = map[string]any{}
	}
	s.vars[name] = v
}

func (s *scope) get(name string) any {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v
		}
	}
	return Undefined{"'" + name + "'"}
}
