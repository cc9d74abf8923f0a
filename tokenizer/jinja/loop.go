package jinja

import (
	"errors"
	"fmt"
)

// forTag parses a loop.
func (p *parser) forTag() (stmt, error) {
	f := &forLoop{}
	var err error
	if f.bind, err = p.targets(); err != nil {
		return nil, err
	}
	if err := p.expect(name, "in"); err != nil {
		return nil, err
	}
	if f.over, err = p.iterable(); err != nil {
		return nil, err
	}
	if p.accept(name, "if") {
		if f.cond, err = p.expression(); err != nil {
			return nil, err
		}
	}
	f.recursive = p.accept(name, "recursive")
	if err := p.endTag(); err != nil {
		return nil, err
	}
	if f.body, err = p.block("else", "endfor"); err != nil {
		return nil, err
	}
	if p.next().text == "else" {
		if err := p.endTag(); err != nil {
			return nil, err
		}
		if f.empty, err = p.block("endfor"); err != nil {
			return nil, err
		}
		p.next()
	}
	return func(r *run, s *scope) error {
		v, err := f.over(r, s)
		if err != nil {
			return err
		}
		return f.run(r, s, v, 1)
	}, p.endTag()
}

// iterable parses what a loop goes over: an if behind it belongs to the loop.
func (p *parser) iterable() (expr, error) {
	first, err := p.binary(0)
	if err != nil || !p.is(op, ",") {
		return first, err
	}
	items := []expr{first}
	for p.accept(op, ",") {
		if p.peek().kind == tagEnd {
			break
		}
		e, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	return sequence(items, true), nil
}

type forLoop struct {
	bind        assign
	over, cond  expr
	body, empty stmt
	recursive   bool
}

// run goes over v; depth counts recursion.
func (f *forLoop) run(r *run, s *scope, v any, depth int) error {
	items, err := r.items(v)
	if err != nil {
		return err
	}
	if f.cond != nil {
		if items, err = f.filtered(r, s, items); err != nil {
			return err
		}
	}
	if len(items) == 0 && f.empty != nil {
		return f.empty(r, s.inner())
	}
	l := &loop{f: f, s: s, items: items, depth: depth}
	for l.index = range items {
		if err := r.charge(64); err != nil {
			return err
		}
		inner := s.inner()
		inner.set("loop", l)
		if err := f.bind(r, inner, items[l.index]); err != nil {
			return err
		}
		switch err := f.body(r, inner); err {
		case nil, errContinue:
		case errBreak:
			return nil
		default:
			return err
		}
	}
	return nil
}

func (f *forLoop) filtered(r *run, s *scope, items []any) ([]any, error) {
	var kept []any
	for _, item := range items {
		inner := s.inner()
		if err := f.bind(r, inner, item); err != nil {
			return nil, err
		}
		yes, err := f.cond(r, inner)
		if err != nil {
			return nil, err
		}
		if truth(yes) {
			kept = append(kept, item)
		}
	}
	return kept, nil
}

// loop is the variable of that name.
type loop struct {
	f       *forLoop
	s       *scope
	items   []any
	index   int
	depth   int
	last    any // what changed() was last called with
	hasLast bool
}

func (l *loop) attribute(name string) any {
	n := len(l.items)
	switch name {
	case "index":
		return int64(l.index + 1)
	case "index0":
		return int64(l.index)
	case "revindex":
		return int64(n - l.index)
	case "revindex0":
		return int64(n - l.index - 1)
	case "first":
		return l.index == 0
	case "last":
		return l.index == n-1
	case "length":
		return int64(n)
	case "depth":
		return int64(l.depth)
	case "depth0":
		return int64(l.depth - 1)
	case "previtem":
		if l.index > 0 {
			return l.items[l.index-1]
		}
		return Undefined{"there is no previous item; loop.previtem"}
	case "nextitem":
		if l.index < n-1 {
			return l.items[l.index+1]
		}
		return Undefined{"there is no next item; loop.nextitem"}
	case "cycle":
		return Func(func(c *Call) (any, error) {
			if len(c.Args) == 0 {
				return nil, errors.New("no items for cycling given")
			}
			return c.Args[l.index%len(c.Args)], nil
		})
	case "changed":
		return Func(func(c *Call) (any, error) {
			v := &List{Items: c.Args}
			same := l.hasLast && equal(l.last, v)
			l.last, l.hasLast = v, true
			return !same, nil
		})
	}
	return nil
}

// call is loop(items) in a recursive loop.
func (l *loop) call(c *Call) (any, error) {
	if !l.f.recursive {
		return nil, errors.New("the loop must have the word recursive to be called")
	}
	if l.depth >= c.run.limits.Calls {
		return nil, fmt.Errorf("loops are nested more than %d deep", c.run.limits.Calls)
	}
	return c.run.capture(func() error { return l.f.run(c.run, l.s, c.Arg(0, "iterable", nil), l.depth+1) })
}
