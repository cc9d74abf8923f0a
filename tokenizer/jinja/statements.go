package jinja

import (
	"errors"
	"fmt"
	"slices"
)

// errBreak and errContinue leave the body of a loop.
var (
	errBreak    = errors.New("break outside of a loop")
	errContinue = errors.New("continue outside of a loop")
)

// block parses up to a tag with one of the names, whose name it leaves as next token, or to the end of the template.
func (p *parser) block(until ...string) (stmt, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var body []stmt
	for {
		t := p.peek()
		switch t.kind {
		case end:
			if len(until) > 0 {
				return nil, p.errorf("%s is missing", until[len(until)-1])
			}
			return all(body), nil
		case data:
			p.next()
			body = append(body, func(r *run, _ *scope) error { return r.write(t.text) })
		case varOpen:
			p.next()
			e, err := p.tuple()
			if err != nil {
				return nil, err
			}
			if p.next().kind != varEnd {
				p.pos--
				return nil, p.errorf("end of tag expected, found %s", p.describe())
			}
			body = append(body, print(t.line, e))
		case tagOpen:
			p.next()
			if p.is(name, until...) {
				return all(body), nil
			}
			st, err := p.statement()
			if err != nil {
				return nil, err
			}
			body = append(body, func(r *run, s *scope) error { return located(t.line, st(r, s)) })
		default:
			return nil, p.errorf("unexpected %s", p.describe())
		}
	}
}

func print(line int, e expr) stmt {
	return func(r *run, s *scope) error {
		v, err := e(r, s)
		if err != nil {
			return located(line, err)
		}
		return located(line, r.write(text(v)))
	}
}

func all(body []stmt) stmt {
	return func(r *run, s *scope) error {
		for _, st := range body {
			if err := r.charge(0); err != nil {
				return err
			}
			if err := st(r, s); err != nil {
				return err
			}
		}
		return nil
	}
}

func (p *parser) endTag() error {
	if p.next().kind != tagEnd {
		p.pos--
		return p.errorf("end of tag expected, found %s", p.describe())
	}
	return nil
}

// statement parses a tag from its name on.
func (p *parser) statement() (stmt, error) {
	tag, err := p.ident()
	if err != nil {
		return nil, err
	}
	switch tag {
	case "if":
		return p.ifTag()
	case "for":
		return p.forTag()
	case "set":
		return p.setTag()
	case "macro":
		return p.macroTag()
	case "call":
		return p.callTag()
	case "filter":
		return p.filterTag()
	case "with":
		return p.withTag()
	case "break":
		return func(*run, *scope) error { return errBreak }, p.endTag()
	case "continue":
		return func(*run, *scope) error { return errContinue }, p.endTag()
	case "do":
		e, err := p.tuple()
		if err != nil {
			return nil, err
		}
		return func(r *run, s *scope) error {
			_, err := e(r, s)
			return err
		}, p.endTag()
	case "generation": // marks what the model says, for training
		return p.body("endgeneration")
	case "autoescape":
		return nil, p.errorf("autoescape is not supported")
	case "include", "import", "from", "extends", "block":
		return nil, p.errorf("%s is not allowed: a chat template stands alone", tag)
	}
	return nil, p.errorf("tag %q is unknown", tag)
}

// body parses the end of a tag, a block and its end tag.
func (p *parser) body(endName string) (stmt, error) {
	if err := p.endTag(); err != nil {
		return nil, err
	}
	b, err := p.block(endName)
	if err != nil {
		return nil, err
	}
	p.next()
	return b, p.endTag()
}

func (p *parser) ifTag() (stmt, error) {
	var conds []expr
	var bodies []stmt
	for tag := "if"; tag != "endif"; {
		var cond expr
		if tag != "else" {
			var err error
			if cond, err = p.tuple(); err != nil {
				return nil, err
			}
		}
		if err := p.endTag(); err != nil {
			return nil, err
		}
		until := []string{"elif", "else", "endif"}
		if tag == "else" {
			until = until[2:]
		}
		body, err := p.block(until...)
		if err != nil {
			return nil, err
		}
		conds, bodies = append(conds, cond), append(bodies, body)
		tag = p.next().text
	}
	return func(r *run, s *scope) error {
		for i, cond := range conds {
			if cond != nil {
				v, err := cond(r, s)
				if err != nil {
					return err
				}
				if !truth(v) {
					continue
				}
			}
			return bodies[i](r, s)
		}
		return nil
	}, p.endTag()
}

// assign binds a value to names.
type assign func(r *run, s *scope, v any) error

// targets parses names with commas between them, up to the word or operator that follows.
func (p *parser) targets() (assign, error) {
	var names []string
	tuple, paren := false, p.accept(op, "(")
	for {
		n, err := p.ident()
		if err != nil {
			return nil, err
		}
		names = append(names, n)
		if !p.accept(op, ",") {
			break
		}
		tuple = true
		if p.peek().kind != name || p.is(name, "in") {
			break
		}
	}
	if paren {
		if err := p.expect(op, ")"); err != nil {
			return nil, err
		}
	}
	if !tuple {
		return func(_ *run, s *scope, v any) error {
			s.set(names[0], v)
			return nil
		}, nil
	}
	return func(r *run, s *scope, v any) error {
		items, err := r.items(v)
		if err != nil {
			return err
		}
		if len(items) != len(names) {
			return fmt.Errorf("%d values for %d names", len(items), len(names))
		}
		for i, n := range names {
			s.set(n, items[i])
		}
		return nil
	}, nil
}

func (p *parser) setTag() (stmt, error) {
	if p.peek().kind == name && p.tokens[p.pos+1].kind == op && p.tokens[p.pos+1].text == "." {
		return p.setAttribute()
	}
	bind, err := p.targets()
	if err != nil {
		return nil, err
	}
	if p.accept(op, "=") {
		e, err := p.tuple()
		if err != nil {
			return nil, err
		}
		return func(r *run, s *scope) error {
			v, err := e(r, s)
			if err != nil {
				return err
			}
			return bind(r, s, v)
		}, p.endTag()
	}
	filter := func(_ *run, _ *scope, v any) (any, error) { return v, nil }
	for p.accept(op, "|") {
		inner, f := filter, filter
		if f, err = p.filter(); err != nil {
			return nil, err
		}
		filter = func(r *run, s *scope, v any) (any, error) {
			v, err := inner(r, s, v)
			if err != nil {
				return nil, err
			}
			return f(r, s, v)
		}
	}
	body, err := p.body("endset")
	if err != nil {
		return nil, err
	}
	return func(r *run, s *scope) error {
		text, err := r.capture(func() error { return body(r, s.inner()) })
		if err != nil {
			return err
		}
		v, err := filter(r, s, text)
		if err != nil {
			return err
		}
		return bind(r, s, v)
	}, nil
}

// setAttribute parses "ns.name = value".
func (p *parser) setAttribute() (stmt, error) {
	target := p.next().text
	p.next()
	attr, err := p.ident()
	if err != nil {
		return nil, err
	}
	if err := p.expect(op, "="); err != nil {
		return nil, err
	}
	e, err := p.tuple()
	if err != nil {
		return nil, err
	}
	return func(r *run, s *scope) error {
		ns, ok := s.get(target).(*Namespace)
		if !ok {
			return fmt.Errorf("%s is not a namespace; only attributes of namespaces can be set", target)
		}
		v, err := e(r, s)
		if err != nil {
			return err
		}
		ns.attrs.Set(attr, v)
		return nil
	}, p.endTag()
}

func (p *parser) withTag() (stmt, error) {
	var names []string
	var values []expr
	for p.peek().kind != tagEnd {
		if len(names) > 0 {
			if err := p.expect(op, ","); err != nil {
				return nil, err
			}
		}
		n, err := p.ident()
		if err != nil {
			return nil, err
		}
		if err := p.expect(op, "="); err != nil {
			return nil, err
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		names, values = append(names, n), append(values, e)
	}
	body, err := p.body("endwith")
	if err != nil {
		return nil, err
	}
	return func(r *run, s *scope) error {
		inner := s.inner()
		for i, n := range names {
			v, err := values[i](r, s)
			if err != nil {
				return err
			}
			inner.set(n, v)
		}
		return body(r, inner)
	}, nil
}

func (p *parser) filterTag() (stmt, error) {
	apply, err := p.filter()
	if err != nil {
		return nil, err
	}
	body, err := p.body("endfilter")
	if err != nil {
		return nil, err
	}
	return func(r *run, s *scope) error {
		out, err := r.capture(func() error { return body(r, s.inner()) })
		if err != nil {
			return err
		}
		v, err := apply(r, s, out)
		if err != nil {
			return err
		}
		return r.write(text(v))
	}, nil
}

// parameters are those of a macro.
type parameters struct {
	names    []string
	defaults []expr // nil: none
}

func (p *parser) parameters() (ps parameters, err error) {
	if err := p.expect(op, "("); err != nil {
		return ps, err
	}
	for !p.accept(op, ")") {
		if len(ps.names) > 0 {
			if err := p.expect(op, ","); err != nil {
				return ps, err
			}
			if p.accept(op, ")") {
				break
			}
		}
		n, err := p.ident()
		if err != nil {
			return ps, err
		}
		var def expr
		if p.accept(op, "=") {
			if def, err = p.expression(); err != nil {
				return ps, err
			}
		}
		ps.names, ps.defaults = append(ps.names, n), append(ps.defaults, def)
	}
	return ps, nil
}

// macro makes the function for a body that is defined in scope s.
func (ps parameters) macro(r *run, s *scope, title string, body stmt) Func {
	return func(c *Call) (any, error) {
		inner := s.inner()
		for i, n := range ps.names {
			v, given := c.Names[n]
			switch {
			case i < len(c.Args):
				v = c.Args[i]
			case !given && ps.defaults[i] != nil:
				var err error
				if v, err = ps.defaults[i](r, inner); err != nil {
					return nil, err
				}
			case !given:
				v = Undefined{"parameter '" + n + "'"}
			}
			inner.set(n, v)
		}
		extra, names := &List{Tuple: true}, NewDict()
		if len(c.Args) > len(ps.names) {
			extra.Items = c.Args[len(ps.names):]
		}
		for _, n := range c.order {
			switch {
			case n == "caller":
				inner.set(n, c.Names[n])
			case !slices.Contains(ps.names, n):
				names.Set(n, c.Names[n])
			}
		}
		inner.set("varargs", extra)
		inner.set("kwargs", names)
		out, err := r.capture(func() error { return body(r, inner) })
		if err == errBreak || err == errContinue {
			err = fmt.Errorf("macro %s: %w", title, err)
		}
		return out, err
	}
}

func (p *parser) macroTag() (stmt, error) {
	title, err := p.ident()
	if err != nil {
		return nil, err
	}
	ps, err := p.parameters()
	if err != nil {
		return nil, err
	}
	body, err := p.body("endmacro")
	if err != nil {
		return nil, err
	}
	return func(r *run, s *scope) error {
		s.set(title, ps.macro(r, s, title, body))
		return nil
	}, nil
}

// callTag parses "call(params) macro(args)": the block becomes the macro's caller().
func (p *parser) callTag() (stmt, error) {
	var ps parameters
	var err error
	if p.is(op, "(") {
		if ps, err = p.parameters(); err != nil {
			return nil, err
		}
	}
	target, err := p.primary()
	if err != nil {
		return nil, err
	}
	for p.is(op, ".") {
		p.next()
		n, err := p.ident()
		if err != nil {
			return nil, err
		}
		inner := target
		target = func(r *run, s *scope) (any, error) {
			v, err := inner(r, s)
			if err != nil {
				return nil, err
			}
			return r.attribute(v, n)
		}
	}
	if err := p.expect(op, "("); err != nil {
		return nil, err
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	body, err := p.body("endcall")
	if err != nil {
		return nil, err
	}
	return func(r *run, s *scope) error {
		f, err := target(r, s)
		if err != nil {
			return err
		}
		c, err := args.eval(r, s)
		if err != nil {
			return err
		}
		names := map[string]any{"caller": ps.macro(r, s, "caller", body)}
		for n, v := range c.Names {
			names[n] = v
		}
		c.Names, c.order = names, append([]string{"caller"}, c.order...)
		v, err := r.callValue(f, c)
		if err != nil {
			return err
		}
		return r.write(text(v))
	}, nil
}
