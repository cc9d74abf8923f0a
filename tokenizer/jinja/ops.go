package jinja

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// number returns v as a float, and as a whole number if it is one.
func number(v any) (f float64, i int64, whole, ok bool) {
	switch v := v.(type) {
	case bool:
		return float64(toInt(v)), toInt(v), true, true
	case int64:
		return float64(v), v, true, true
	case float64:
		return v, 0, false, true
	}
	return 0, 0, false, false
}

// maxVisits bounds the values that one comparison looks at: a value can hold another many times over.
const maxVisits = 1 << 20

// equal is Python's ==.
func equal(a, b any) bool {
	visits := maxVisits
	return equalWithin(a, b, 0, &visits)
}

func equalWithin(a, b any, depth int, visits *int) bool {
	if *visits--; *visits < 0 || depth > maxNesting {
		return false
	}
	fa, ia, wa, oka := number(a)
	fb, ib, wb, okb := number(b)
	if oka && okb {
		if wa && wb {
			return ia == ib
		}
		return fa == fb
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case Undefined:
		_, ok := b.(Undefined)
		return ok
	case string:
		s, ok := b.(string)
		return ok && a == s
	case bigInt:
		s, ok := b.(bigInt)
		return ok && a == s
	case *List:
		l, ok := b.(*List)
		if !ok || a.Tuple != l.Tuple || len(a.Items) != len(l.Items) {
			return false
		}
		for i := range a.Items {
			if !equalWithin(a.Items[i], l.Items[i], depth+1, visits) {
				return false
			}
		}
		return true
	case *Dict:
		d, ok := b.(*Dict)
		if !ok || a.Len() != d.Len() {
			return false
		}
		for _, k := range a.keys {
			v, ok := d.values[k]
			if !ok || !equalWithin(a.values[k], v, depth+1, visits) {
				return false
			}
		}
		return true
	case *Namespace:
		n, ok := b.(*Namespace)
		return ok && a == n
	}
	return false
}

// compare orders two values: -1, 0, 1.
func compare(a, b any) (int, error) {
	visits := maxVisits
	return compareWithin(a, b, 0, &visits)
}

func compareWithin(a, b any, depth int, visits *int) (int, error) {
	if *visits--; *visits < 0 || depth > maxNesting {
		return 0, errors.New("values are nested too deep to compare")
	}
	fa, _, _, oka := number(a)
	fb, _, _, okb := number(b)
	if oka && okb {
		switch {
		case fa < fb:
			return -1, nil
		case fa > fb:
			return 1, nil
		}
		return 0, nil
	}
	if s, ok := a.(string); ok {
		if t, ok := b.(string); ok {
			return strings.Compare(s, t), nil
		}
	}
	if l, ok := a.(*List); ok {
		if m, ok := b.(*List); ok {
			for i := range min(len(l.Items), len(m.Items)) {
				if c, err := compareWithin(l.Items[i], m.Items[i], depth+1, visits); c != 0 || err != nil {
					return c, err
				}
			}
			return len(l.Items) - len(m.Items), nil
		}
	}
	return 0, unsupported("<", a, b)
}

func unsupported(op string, a, b any) error {
	for _, v := range []any{a, b} {
		if u, ok := v.(Undefined); ok {
			return undefinedError(u)
		}
	}
	return fmt.Errorf("unsupported operand types for %s: %s and %s", op, typeName(a), typeName(b))
}

// contains is Python's "a in b".
func contains(b, a any) (bool, error) {
	switch b := b.(type) {
	case string:
		s, ok := a.(string)
		if !ok {
			return false, unsupported("in", a, b)
		}
		return strings.Contains(b, s), nil
	case *List:
		for _, item := range b.Items {
			if equal(item, a) {
				return true, nil
			}
		}
		return false, nil
	case *Dict:
		if !hashable(a) {
			return false, nil
		}
		_, ok := b.Get(a)
		return ok, nil
	case Undefined:
		return false, nil
	}
	return false, fmt.Errorf("%s cannot be searched with in", typeName(b))
}

// arithmetic applies a binary operator.
func (r *run) arithmetic(op string, a, b any) (any, error) {
	if op == "~" {
		return r.join(text(a), text(b))
	}
	fa, ia, wa, oka := number(a)
	fb, ib, wb, okb := number(b)
	if oka && okb {
		if wa && wb {
			return wholeArithmetic(op, ia, ib)
		}
		return floatArithmetic(op, fa, fb)
	}
	switch op {
	case "+":
		switch a := a.(type) {
		case string:
			if b, ok := b.(string); ok {
				return r.join(a, b)
			}
		case *List:
			if b, ok := b.(*List); ok && a.Tuple == b.Tuple {
				if err := r.charge(16 * (len(a.Items) + len(b.Items))); err != nil {
					return nil, err
				}
				return &List{append(append([]any(nil), a.Items...), b.Items...), a.Tuple}, nil
			}
		}
	case "*":
		if wa {
			a, b, ib, wb = b, a, ia, true
		}
		if wb {
			return r.repeat(a, b, ib)
		}
	case "%":
		if s, ok := a.(string); ok {
			return r.percent(s, b)
		}
	}
	return nil, unsupported(op, a, b)
}

func (r *run) join(a, b string) (any, error) {
	if err := r.charge(len(a) + len(b)); err != nil {
		return nil, err
	}
	return a + b, nil
}

func (r *run) repeat(a, b any, n int64) (any, error) {
	n = max(0, n)
	switch a := a.(type) {
	case string:
		if err := r.chargeTimes(len(a), n); err != nil {
			return nil, err
		}
		return strings.Repeat(a, int(n)), nil
	case *List:
		if err := r.chargeTimes(16*len(a.Items), n); err != nil {
			return nil, err
		}
		l := &List{Tuple: a.Tuple}
		if len(a.Items) > 0 {
			for range n {
				l.Items = append(l.Items, a.Items...)
			}
		}
		return l, nil
	}
	return nil, unsupported("*", a, b)
}

func wholeArithmetic(op string, a, b int64) (any, error) {
	switch op {
	case "+":
		if c := a + b; (c > a) == (b > 0) {
			return c, nil
		}
	case "-":
		if c := a - b; (c < a) == (b > 0) {
			return c, nil
		}
	case "*":
		if a == 0 || b == 0 {
			return int64(0), nil
		}
		if c := a * b; c/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64) {
			return c, nil
		}
	case "//", "%":
		if b == 0 {
			return nil, errors.New("division by zero")
		}
		if b == -1 {
			if op == "%" {
				return int64(0), nil
			}
			return wholeArithmetic("-", 0, a)
		}
		q, m := a/b, a%b
		if m != 0 && (m < 0) != (b < 0) {
			q, m = q-1, m+b
		}
		if op == "%" {
			return m, nil
		}
		return q, nil
	case "**":
		if b >= 0 {
			if f := math.Pow(float64(a), float64(b)); math.Abs(f) < 1<<53 {
				return int64(f), nil
			}
			break
		}
		return floatArithmetic(op, float64(a), float64(b))
	case "/":
		return floatArithmetic(op, float64(a), float64(b))
	}
	return nil, errors.New("whole number too large")
}

func floatArithmetic(op string, a, b float64) (any, error) {
	switch op {
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	case "**":
		return math.Pow(a, b), nil
	}
	if b == 0 {
		return nil, errors.New("division by zero")
	}
	switch op {
	case "/":
		return a / b, nil
	case "//":
		return math.Floor(a / b), nil
	}
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m, nil
}

// items returns what iterating over v gives.
func (r *run) items(v any) ([]any, error) {
	switch v := v.(type) {
	case *List:
		return v.Items, nil
	case *Dict:
		return v.keys, nil
	case string:
		if err := r.charge(32 * len(v)); err != nil {
			return nil, err
		}
		out := make([]any, 0, len(v))
		for _, c := range v {
			out = append(out, string(c))
		}
		return out, nil
	case Undefined:
		return nil, nil
	}
	return nil, fmt.Errorf("%s is not iterable", typeName(v))
}

// length is Python's len().
func length(v any) (int, error) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), nil
	case *List:
		return len(v.Items), nil
	case *Dict:
		return v.Len(), nil
	case Undefined:
		return 0, nil
	}
	return 0, fmt.Errorf("%s has no length", typeName(v))
}

// item is v[key]; a missing member is undefined.
func (r *run) item(v, key any) (any, error) {
	switch v := v.(type) {
	case Undefined:
		return nil, undefinedError(v)
	case *Dict:
		if hashable(key) {
			if x, ok := v.Get(key); ok {
				return x, nil
			}
		}
	case *List:
		if _, i, whole, ok := number(key); ok && whole {
			if i < 0 {
				i += int64(len(v.Items))
			}
			if i >= 0 && i < int64(len(v.Items)) {
				return v.Items[i], nil
			}
			return Undefined{"list item"}, nil
		}
	case string:
		if _, i, whole, ok := number(key); ok && whole {
			runes := []rune(v)
			if i < 0 {
				i += int64(len(runes))
			}
			if i >= 0 && i < int64(len(runes)) {
				return string(runes[i]), nil
			}
			return Undefined{"str item"}, nil
		}
	}
	if s, ok := key.(string); ok {
		if m := r.method(v, s); m != nil {
			return m, nil
		}
		return Undefined{"'" + typeName(v) + "' member '" + s + "'"}, nil
	}
	return Undefined{"'" + typeName(v) + "' item"}, nil
}

// attribute is v.name: a method, or else a member.
func (r *run) attribute(v any, name string) (any, error) {
	switch v := v.(type) {
	case Undefined:
		return nil, undefinedError(v)
	case *Namespace:
		if x, ok := v.attrs.Get(name); ok {
			return x, nil
		}
		return Undefined{"namespace attribute '" + name + "'"}, nil
	case attributes:
		if x := v.attribute(name); x != nil {
			return x, nil
		}
	}
	if m := r.method(v, name); m != nil {
		return m, nil
	}
	if d, ok := v.(*Dict); ok {
		if x, ok := d.Get(name); ok {
			return x, nil
		}
	}
	return Undefined{"'" + typeName(v) + "' attribute '" + name + "'"}, nil
}

// attributes is a value with members of its own, such as loop.
type attributes interface{ attribute(name string) any }

// slice is v[start:stop:step].
func (r *run) slice(v, start, stop, step any) (any, error) {
	n, err := length(v)
	if err != nil {
		return nil, err
	}
	by := 1
	if step != nil {
		_, i, whole, _ := number(step)
		if !whole || i == 0 || i > math.MaxInt32 || i < math.MinInt32 {
			return nil, errors.New("a slice step is a whole number, not 0")
		}
		by = int(i)
	}
	from, to := 0, n
	if by < 0 {
		from, to = n-1, -1
	}
	bound := func(v any, def int) (int, error) {
		if v == nil {
			return def, nil
		}
		_, i, whole, _ := number(v)
		if !whole {
			return 0, errors.New("slice bounds are whole numbers")
		}
		if i < 0 {
			i += int64(n)
		}
		if by < 0 {
			return int(min(max(i, -1), int64(n-1))), nil
		}
		return int(min(max(i, 0), int64(n))), nil
	}
	if from, err = bound(start, from); err != nil {
		return nil, err
	}
	if to, err = bound(stop, to); err != nil {
		return nil, err
	}
	if err := r.charge(16 * n); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case string:
		runes, out := []rune(v), []rune{}
		for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
			out = append(out, runes[i])
		}
		return string(out), nil
	case *List:
		out := &List{Tuple: v.Tuple}
		for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
			out.Items = append(out.Items, v.Items[i])
		}
		return out, nil
	case Undefined:
		return nil, undefinedError(v)
	}
	return nil, fmt.Errorf("%s cannot be sliced", typeName(v))
}
