package jinja

import (
	"fmt"
	"slices"
	"strconv"
)

// expr computes a value, stmt writes output or changes a scope: parsing makes closures.
type (
	expr func(r *run, s *scope) (any, error)
	stmt func(r *run, s *scope) error
)

type parser struct {
	tokens []token
	pos    int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != end {
		p.pos++
	}
	return t
}

func (p *parser) errorf(format string, args ...any) error {
	return &SyntaxError{p.peek().line, fmt.Sprintf(format, args...)}
}

func (p *parser) describe() string {
	switch t := p.peek(); t.kind {
	case end:
		return "end of template"
	case data:
		return "text"
	case varOpen, tagOpen:
		return "tag"
	case varEnd, tagEnd:
		return "end of tag"
	default:
		return strconv.Quote(t.text)
	}
}

// is says whether the next token is the operator or name text.
func (p *parser) is(k kind, texts ...string) bool {
	t := p.peek()
	return t.kind == k && slices.Contains(texts, t.text)
}

// accept consumes the operator or name text, if it is next.
func (p *parser) accept(k kind, text string) bool {
	if p.is(k, text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(k kind, text string) error {
	if !p.accept(k, text) {
		return p.errorf("%q expected, found %s", text, p.describe())
	}
	return nil
}

func (p *parser) ident() (string, error) {
	if t := p.peek(); t.kind == name {
		p.next()
		return t.text, nil
	}
	return "", p.errorf("a name expected, found %s", p.describe())
}

// enter counts nesting, so that no template can exhaust the stack.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxNesting {
		return p.errorf("nested more than %d deep", maxNesting)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// at adds the line to errors of e.
func at(line int, e expr) expr {
	return func(r *run, s *scope) (any, error) {
		v, err := e(r, s)
		return v, located(line, err)
	}
}

// RenderError is a fault found while rendering.
type RenderError struct {
	Line int
	Err  error
}

func (e *RenderError) Error() string { return fmt.Sprintf("template line %d: %v", e.Line, e.Err) }
func (e *RenderError) Unwrap() error { return e.Err }

func located(line int, err error) error {
	if err == nil || err == errBreak || err == errContinue {
		return err
	}
	if _, ok := err.(*RenderError); ok {
		return err
	}
	return &RenderError{line, err}
}

// tuple parses expressions with commas between them; without a comma the result is the expression.
func (p *parser) tuple() (expr, error) {
	first, err := p.expression()
	if err != nil || !p.is(op, ",") {
		return first, err
	}
	items := []expr{first}
	for p.accept(op, ",") {
		if k := p.peek().kind; k == tagEnd || k == varEnd || p.is(op, ")", "=") {
			break
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	return sequence(items, true), nil
}

func sequence(items []expr, tuple bool) expr {
	return func(r *run, s *scope) (any, error) {
		if err := r.charge(16 * len(items)); err != nil {
			return nil, err
		}
		l := &List{Items: make([]any, len(items)), Tuple: tuple}
		for i, e := range items {
			v, err := e(r, s)
			if err != nil {
				return nil, err
			}
			l.Items[i] = v
		}
		return l, nil
	}
}

// expression parses "a if b else c" and below.
func (p *parser) expression() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	for p.accept(name, "if") {
		cond, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		other := expr(func(*run, *scope) (any, error) { return Undefined{"the value of an if without else"}, nil })
		if p.accept(name, "else") {
			if other, err = p.expression(); err != nil {
				return nil, err
			}
		}
		then := e
		e = func(r *run, s *scope) (any, error) {
			c, err := cond(r, s)
			if err != nil {
				return nil, err
			}
			if truth(c) {
				return then(r, s)
			}
			return other(r, s)
		}
	}
	return e, nil
}

// levels are the binary operators from loosest to tightest; "not" and comparisons lie between and, +.
var levels = [][]string{{"or"}, {"and"}, {"not"}, {"=="}, {"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}}

func (p *parser) binary(level int) (expr, error) {
	if level == len(levels) {
		return p.unary(true)
	}
	switch levels[level][0] {
	case "not":
		return p.not(level)
	case "==":
		return p.comparison(level)
	}
	left, err := p.binary(level + 1)
	for err == nil {
		t := p.peek()
		if (t.kind != op && t.kind != name) || !slices.Contains(levels[level], t.text) {
			return left, nil
		}
		p.next()
		var right expr
		if right, err = p.binary(level + 1); err == nil {
			left = at(t.line, operation(t.text, left, right))
		}
	}
	return nil, err
}

func operation(op string, left, right expr) expr {
	return func(r *run, s *scope) (any, error) {
		a, err := left(r, s)
		if err != nil {
			return nil, err
		}
		if op == "or" && truth(a) || op == "and" && !truth(a) {
			return a, nil
		}
		b, err := right(r, s)
		if err != nil || op == "or" || op == "and" {
			return b, err
		}
		if err := r.charge(0); err != nil {
			return nil, err
		}
		return r.arithmetic(op, a, b)
	}
}

func (p *parser) not(level int) (expr, error) {
	if !p.accept(name, "not") {
		return p.binary(level + 1)
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.not(level)
	if err != nil {
		return nil, err
	}
	return func(r *run, s *scope) (any, error) {
		v, err := e(r, s)
		return !truth(v), err
	}, nil
}

// comparison parses a chain: a < b < c is a < b and b < c.
func (p *parser) comparison(level int) (expr, error) {
	first, err := p.binary(level + 1)
	if err != nil {
		return nil, err
	}
	var ops []string
	var rest []expr
	line := p.peek().line
	for {
		t := p.peek()
		switch {
		case t.kind == op && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text), p.is(name, "in"):
			p.next()
		case p.is(name, "not") && p.tokens[p.pos+1] == token{name, "in", p.tokens[p.pos+1].line}:
			p.next()
			p.next()
			t.text = "not in"
		default:
			if len(ops) == 0 {
				return first, nil
			}
			return at(line, chain(first, ops, rest)), nil
		}
		e, err := p.binary(level + 1)
		if err != nil {
			return nil, err
		}
		ops, rest = append(ops, t.text), append(rest, e)
	}
}

func chain(first expr, ops []string, rest []expr) expr {
	return func(r *run, s *scope) (any, error) {
		a, err := first(r, s)
		if err != nil {
			return nil, err
		}
		for i, op := range ops {
			b, err := rest[i](r, s)
			if err != nil {
				return nil, err
			}
			ok, err := related(op, a, b)
			if err != nil || !ok {
				return false, err
			}
			a = b
		}
		return true, nil
	}
}

// related applies a comparison.
func related(op string, a, b any) (bool, error) {
	switch op {
	case "==":
		return equal(a, b), nil
	case "!=":
		return !equal(a, b), nil
	case "in":
		return contains(b, a)
	case "not in":
		ok, err := contains(b, a)
		return !ok, err
	}
	c, err := compare(a, b)
	switch op {
	case "<":
		return c < 0, err
	case "<=":
		return c <= 0, err
	case ">":
		return c > 0, err
	}
	return c >= 0, err
}

// unary parses a sign, or a primary expression with what follows it.
func (p *parser) unary(filters bool) (expr, error) {
	t := p.peek()
	var e expr
	var err error
	if t.kind == op && (t.text == "-" || t.text == "+") {
		p.next()
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		if e, err = p.unary(false); err != nil {
			return nil, err
		}
		e = at(t.line, signed(t.text, e))
	} else if e, err = p.primary(); err != nil {
		return nil, err
	}
	if e, err = p.postfix(e); err != nil || !filters {
		return e, err
	}
	return p.filters(e)
}

func signed(sign string, e expr) expr {
	return func(r *run, s *scope) (any, error) {
		v, err := e(r, s)
		if err != nil {
			return nil, err
		}
		f, i, whole, ok := number(v)
		switch {
		case !ok:
			return nil, unsupported(sign, v, v)
		case sign == "+" && whole:
			return i, nil
		case sign == "+":
			return f, nil
		case whole:
			return wholeArithmetic("-", 0, i)
		}
		return -f, nil
	}
}

func constant(v any) expr { return func(*run, *scope) (any, error) { return v, nil } }

func (p *parser) primary() (expr, error) {
	t := p.next()
	switch t.kind {
	case name:
		switch t.text {
		case "true", "True":
			return constant(true), nil
		case "false", "False":
			return constant(false), nil
		case "none", "None":
			return constant(nil), nil
		}
		return func(r *run, s *scope) (any, error) { return s.get(t.text), r.charge(0) }, nil
	case str:
		text := t.text
		for p.peek().kind == str { // strings side by side are one
			text += p.next().text
		}
		return constant(text), nil
	case integer:
		i, err := strconv.ParseInt(t.text, 0, 64)
		if err != nil {
			if i, err = strconv.ParseInt(t.text, 10, 64); err != nil { // leading zeros
				return constant(bigInt(t.text)), nil
			}
		}
		return constant(i), nil
	case float:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, p.errorf("bad number %s", t.text)
		}
		return constant(f), nil
	case op:
		switch t.text {
		case "(":
			return p.parenthesis()
		case "[":
			items, err := p.list("]")
			return sequence(items, false), err
		case "{":
			return p.dict()
		}
	}
	p.pos--
	return nil, p.errorf("an expression expected, found %s", p.describe())
}

func (p *parser) parenthesis() (expr, error) {
	if p.accept(op, ")") {
		return constant(&List{Tuple: true}), nil
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.tuple()
	if err != nil {
		return nil, err
	}
	return e, p.expect(op, ")")
}

// list parses expressions up to the closing bracket.
func (p *parser) list(shut string) ([]expr, error) {
	var items []expr
	for !p.accept(op, shut) {
		if len(items) > 0 {
			if err := p.expect(op, ","); err != nil {
				return nil, err
			}
			if p.accept(op, shut) {
				break
			}
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	return items, nil
}

func (p *parser) dict() (expr, error) {
	var keys, values []expr
	for !p.accept(op, "}") {
		if len(keys) > 0 {
			if err := p.expect(op, ","); err != nil {
				return nil, err
			}
			if p.accept(op, "}") {
				break
			}
		}
		k, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expect(op, ":"); err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		keys, values = append(keys, k), append(values, v)
	}
	return func(r *run, s *scope) (any, error) {
		if err := r.charge(64 * len(keys)); err != nil {
			return nil, err
		}
		d := NewDict()
		for i := range keys {
			k, err := keys[i](r, s)
			if err != nil {
				return nil, err
			}
			v, err := values[i](r, s)
			if err != nil {
				return nil, err
			}
			if !hashable(k) {
				return nil, fmt.Errorf("%s cannot be a key", typeName(k))
			}
			d.Set(k, v)
		}
		return d, nil
	}, nil
}
