package jinja

import "fmt"

// postfix parses members, subscripts and calls.
func (p *parser) postfix(e expr) (expr, error) {
	for {
		t := p.peek()
		if t.kind != op {
			return e, nil
		}
		var err error
		target := e
		switch t.text {
		case ".":
			p.next()
			m := p.next()
			switch m.kind {
			case name:
				e = func(r *run, s *scope) (any, error) {
					v, err := target(r, s)
					if err != nil {
						return nil, err
					}
					return r.attribute(v, m.text)
				}
			case integer:
				e = subscript(target, constant(toIndex(m.text)))
			default:
				p.pos--
				return nil, p.errorf("a name expected after the dot, found %s", p.describe())
			}
		case "[":
			p.next()
			e, err = p.subscript(target)
		case "(":
			p.next()
			var args arguments
			if args, err = p.arguments(); err == nil {
				e = args.call(target)
			}
		default:
			return e, nil
		}
		if err != nil {
			return nil, err
		}
		e = at(t.line, e)
	}
}

func toIndex(digits string) int64 {
	n := int64(0)
	for _, d := range digits {
		if d < '0' || d > '9' || n > 1<<40 {
			return -1 << 40 // no such item
		}
		n = n*10 + int64(d-'0')
	}
	return n
}

// subscript parses [i] or [a:b:c], from behind the bracket.
func (p *parser) subscript(target expr) (expr, error) {
	var parts [3]expr
	n, slice := 0, false
	for !p.accept(op, "]") {
		if p.accept(op, ":") {
			slice = true
			if n++; n > 2 {
				return nil, p.errorf("too many colons in a slice")
			}
			continue
		}
		e, err := p.tuple()
		if err != nil {
			return nil, err
		}
		if parts[n] != nil {
			return nil, p.errorf("%q expected", "]")
		}
		parts[n] = e
	}
	if !slice {
		if parts[0] == nil {
			return nil, p.errorf("a subscript expected")
		}
		return subscript(target, parts[0]), nil
	}
	return func(r *run, s *scope) (any, error) {
		v, err := target(r, s)
		if err != nil {
			return nil, err
		}
		var bounds [3]any
		for i, e := range parts {
			if e == nil {
				continue
			}
			if bounds[i], err = e(r, s); err != nil {
				return nil, err
			}
		}
		return r.slice(v, bounds[0], bounds[1], bounds[2])
	}, nil
}

func subscript(target, key expr) expr {
	return func(r *run, s *scope) (any, error) {
		v, err := target(r, s)
		if err != nil {
			return nil, err
		}
		k, err := key(r, s)
		if err != nil {
			return nil, err
		}
		return r.item(v, k)
	}
}

// arguments are those of a call, not yet computed.
type arguments struct {
	args  []expr
	names []string
	named []expr
}

// arguments parses up to the closing parenthesis.
func (p *parser) arguments() (a arguments, err error) {
	for first := true; !p.accept(op, ")"); first = false {
		if !first {
			if err := p.expect(op, ","); err != nil {
				return a, err
			}
			if p.accept(op, ")") {
				break
			}
		}
		if t := p.peek(); t.kind == name && p.tokens[p.pos+1].kind == op && p.tokens[p.pos+1].text == "=" {
			p.pos += 2
			e, err := p.expression()
			if err != nil {
				return a, err
			}
			a.names, a.named = append(a.names, t.text), append(a.named, e)
			continue
		}
		e, err := p.expression()
		if err != nil {
			return a, err
		}
		a.args = append(a.args, e)
	}
	return a, nil
}

// eval computes the arguments; first, if given, come before them.
func (a arguments) eval(r *run, s *scope, first ...any) (*Call, error) {
	if err := r.charge(16 * (len(a.args) + len(a.named))); err != nil {
		return nil, err
	}
	c := &Call{Args: first, run: r}
	for _, e := range a.args {
		v, err := e(r, s)
		if err != nil {
			return nil, err
		}
		c.Args = append(c.Args, v)
	}
	for i, e := range a.named {
		v, err := e(r, s)
		if err != nil {
			return nil, err
		}
		if c.Names == nil {
			c.Names = map[string]any{}
			c.order = a.names
		}
		c.Names[a.names[i]] = v
	}
	return c, nil
}

func (a arguments) call(target expr) expr {
	return func(r *run, s *scope) (any, error) {
		v, err := target(r, s)
		if err != nil {
			return nil, err
		}
		c, err := a.eval(r, s)
		if err != nil {
			return nil, err
		}
		return r.callValue(v, c)
	}
}

// callValue calls v, to a bounded depth.
func (r *run) callValue(v any, c *Call) (any, error) {
	switch f := v.(type) {
	case Func:
		if r.calls >= r.limits.Calls {
			return nil, fmt.Errorf("calls are nested more than %d deep", r.limits.Calls)
		}
		r.calls++
		defer func() { r.calls-- }()
		return f(c)
	case callable:
		return f.call(c)
	case Undefined:
		return nil, undefinedError(f)
	}
	return nil, fmt.Errorf("%s cannot be called", typeName(v))
}

// callable is a value with members that can be called too: loop.
type callable interface {
	call(c *Call) (any, error)
}

// filters parses filters, tests and calls behind an expression.
func (p *parser) filters(e expr) (expr, error) {
	for {
		t := p.peek()
		switch {
		case p.accept(op, "|"):
			apply, err := p.filter()
			if err != nil {
				return nil, err
			}
			value := e
			e = at(t.line, func(r *run, s *scope) (any, error) {
				v, err := value(r, s)
				if err != nil {
					return nil, err
				}
				return apply(r, s, v)
			})
		case p.accept(name, "is"):
			var err error
			if e, err = p.test(e); err != nil {
				return nil, err
			}
			e = at(t.line, e)
		case p.is(op, "("):
			var err error
			if e, err = p.postfix(e); err != nil {
				return nil, err
			}
		default:
			return e, nil
		}
	}
}

// filter parses the name and arguments of a filter.
func (p *parser) filter() (func(r *run, s *scope, v any) (any, error), error) {
	name, err := p.ident()
	if err != nil {
		return nil, err
	}
	f, ok := filterFuncs()[name]
	if !ok {
		return nil, p.errorf("filter %q is unknown", name)
	}
	var args arguments
	if p.accept(op, "(") {
		if args, err = p.arguments(); err != nil {
			return nil, err
		}
	}
	return func(r *run, s *scope, v any) (any, error) {
		c, err := args.eval(r, s, v)
		if err != nil {
			return nil, err
		}
		v, err = f(c)
		if err != nil {
			return nil, fmt.Errorf("filter %s: %w", name, err)
		}
		return v, nil
	}, nil
}

// test parses what follows "is".
func (p *parser) test(value expr) (expr, error) {
	negate := p.accept(name, "not")
	test, err := p.ident()
	if err != nil {
		return nil, err
	}
	f, ok := testFuncs()[test]
	if !ok {
		return nil, p.errorf("test %q is unknown", test)
	}
	var args arguments
	switch t := p.peek(); {
	case p.accept(op, "("):
		args, err = p.arguments()
	case t.kind == str, t.kind == integer, t.kind == float, p.is(op, "[", "{"),
		t.kind == name && !p.is(name, "else", "or", "and", "is", "not", "in", "if"):
		var e expr
		if e, err = p.primary(); err == nil {
			e, err = p.postfix(e)
		}
		args.args = []expr{e}
	}
	if err != nil {
		return nil, err
	}
	return func(r *run, s *scope) (any, error) {
		v, err := value(r, s)
		if err != nil {
			return nil, err
		}
		c, err := args.eval(r, s, v)
		if err != nil {
			return nil, err
		}
		yes, err := f(c)
		if err != nil {
			return nil, fmt.Errorf("test %s: %w", test, err)
		}
		return yes != negate, nil
	}, nil
}
