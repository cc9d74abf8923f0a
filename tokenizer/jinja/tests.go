package jinja

import (
	"fmt"
	"strings"
	"sync"
	"unicode"
)

type testFunc func(c *Call) (bool, error)

// builtin holds the filters and tests. They refer to each other, so the tables are filled on first use.
var builtin struct {
	once    sync.Once
	filters map[string]Func
	tests   map[string]testFunc
}

func fillBuiltin() { builtin.filters, builtin.tests = makeFilters(), makeTests() }

// filterFuncs are what may follow a bar. The value is the first argument.
func filterFuncs() map[string]Func {
	builtin.once.Do(fillBuiltin)
	return builtin.filters
}

// testFuncs are what may follow "is". The value is the first argument.
func testFuncs() map[string]testFunc {
	builtin.once.Do(fillBuiltin)
	return builtin.tests
}

func makeTests() map[string]testFunc {
	is := func(f func(v any) bool) testFunc {
		return func(c *Call) (bool, error) { return f(c.Args[0]), nil }
	}
	relation := func(op string) testFunc {
		return func(c *Call) (bool, error) { return related(op, c.Args[0], c.Arg(1, "other", nil)) }
	}
	parity := func(rest int64) testFunc {
		return func(c *Call) (bool, error) {
			v, err := wholeMod(c.Args[0], int64(2))
			return v == rest, err
		}
	}
	tests := map[string]testFunc{
		"defined":     is(func(v any) bool { return !isUndefined(v) }),
		"undefined":   is(isUndefined),
		"none":        is(func(v any) bool { return v == nil }),
		"boolean":     is(isA[bool]),
		"true":        is(func(v any) bool { return v == true }),
		"false":       is(func(v any) bool { return v == false }),
		"integer":     is(func(v any) bool { return typeName(v) == "int" }),
		"float":       is(isA[float64]),
		"number":      is(func(v any) bool { _, _, _, ok := number(v); return ok || isA[bigInt](v) }),
		"string":      is(isA[string]),
		"mapping":     is(isA[*Dict]),
		"sequence":    is(func(v any) bool { return isA[string](v) || isA[*List](v) || isA[*Dict](v) || isUndefined(v) }),
		"iterable":    is(func(v any) bool { return isA[string](v) || isA[*List](v) || isA[*Dict](v) || isUndefined(v) }),
		"callable":    is(func(v any) bool { return isA[Func](v) || isUndefined(v) }),
		"escaped":     is(func(any) bool { return false }),
		"lower":       is(func(v any) bool { s := text(v); return s == strings.ToLower(s) && hasCase(s) }),
		"upper":       is(func(v any) bool { s := text(v); return s == strings.ToUpper(s) && hasCase(s) }),
		"sameas":      func(c *Call) (bool, error) { return same(c.Args[0], c.Arg(1, "other", nil)), nil },
		"in":          func(c *Call) (bool, error) { return contains(c.Arg(1, "seq", nil), c.Args[0]) },
		"even":        parity(0),
		"odd":         parity(1),
		"divisibleby": func(c *Call) (bool, error) { v, err := wholeMod(c.Args[0], c.Arg(1, "num", nil)); return v == 0, err },
	}
	for _, op := range []string{"==", "!=", "<", "<=", ">", ">="} {
		tests[op] = relation(op)
	}
	for name, op := range map[string]string{"eq": "==", "equalto": "==", "ne": "!=", "lt": "<", "lessthan": "<", "le": "<=", "gt": ">", "greaterthan": ">", "ge": ">="} {
		tests[name] = relation(op)
	}
	tests["filter"] = func(c *Call) (bool, error) { _, ok := filterFuncs()[text(c.Args[0])]; return ok, nil }
	tests["test"] = func(c *Call) (bool, error) { _, ok := tests[text(c.Args[0])]; return ok, nil }
	return tests
}

func isA[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

func isUndefined(v any) bool { return isA[Undefined](v) }

func hasCase(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return unicode.IsUpper(r) || unicode.IsLower(r) }) >= 0
}

// same is Python's "is", as far as it can be told.
func same(a, b any) bool {
	switch a := a.(type) {
	case *List:
		l, ok := b.(*List)
		return ok && a == l
	case *Dict:
		d, ok := b.(*Dict)
		return ok && a == d
	case Func, *loop, *cycler:
		return false
	}
	return typeName(a) == typeName(b) && equal(a, b)
}

func wholeMod(a, b any) (int64, error) {
	_, i, wa, _ := number(a)
	_, j, wb, _ := number(b)
	if !wa || !wb {
		return -1, fmt.Errorf("%s is not a whole number", typeName(a))
	}
	v, err := wholeArithmetic("%", i, j)
	if err != nil {
		return -1, err
	}
	return v.(int64), nil
}
