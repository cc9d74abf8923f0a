package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// A value of a template is one of: nil (None), bool, int64, float64, string, Undefined, *List, *Dict, *Namespace, Func, and
// bigInt for whole numbers beyond 64 bits, which are only passed through.
type (
	// Undefined is what names and members that do not exist are.
	Undefined struct{ Name string }

	// List is a list or a tuple.
	List struct {
		Items []any
		Tuple bool
	}

	// Dict keeps its keys in order of insertion.
	Dict struct {
		keys   []any
		values map[any]any
	}

	// Namespace is an object whose attributes a template can set.
	Namespace struct{ attrs *Dict }

	// Func is something that can be called.
	Func func(c *Call) (any, error)

	bigInt string
)

// Call holds the arguments of a function, method, filter or test.
type Call struct {
	Args  []any
	Names map[string]any // keyword arguments
	order []string       // of their names
	run   *run
}

// Arg returns argument i, or the keyword argument name, or def.
func (c *Call) Arg(i int, name string, def any) any {
	if i < len(c.Args) {
		return c.Args[i]
	}
	if v, ok := c.Names[name]; ok {
		return v
	}
	return def
}

func (c *Call) str(i int, name string) (string, error) {
	s, ok := c.Arg(i, name, nil).(string)
	if !ok {
		return "", fmt.Errorf("argument %s is not a string", name)
	}
	return s, nil
}

func (c *Call) int(i int, name string, def int) (int, error) {
	switch v := c.Arg(i, name, int64(def)).(type) {
	case int64:
		return int(v), nil
	case bool:
		return int(toInt(v)), nil
	case nil:
		return def, nil
	}
	return 0, fmt.Errorf("argument %s is not a whole number", name)
}

// NewList makes a list.
func NewList(items ...any) *List { return &List{Items: items} }

// NewDict makes an empty dictionary.
func NewDict() *Dict { return &Dict{values: map[any]any{}} }

// Set sets a key, which is a string, number, bool or nil.
func (d *Dict) Set(key, value any) {
	key = hashKey(key)
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = value
}

// Get returns the value of a key.
func (d *Dict) Get(key any) (any, bool) {
	v, ok := d.values[hashKey(key)]
	return v, ok
}

// Len returns the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

// hashKey makes keys equal that are equal in Python: 1, 1.0 and True.
func hashKey(key any) any {
	switch k := key.(type) {
	case bool:
		return toInt(k)
	case float64:
		if i := int64(k); float64(i) == k {
			return i
		}
	}
	return key
}

func hashable(key any) bool {
	switch key.(type) {
	case nil, bool, int64, float64, string:
		return true
	}
	return false
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// truth is Python's bool().
func truth(v any) bool {
	switch v := v.(type) {
	case nil, Undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return v.Len() > 0
	}
	return true
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case Undefined:
		return "undefined"
	case bool:
		return "bool"
	case int64, bigInt:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *List:
		if v.Tuple {
			return "tuple"
		}
		return "list"
	case *Dict:
		return "dict"
	case *Namespace:
		return "namespace"
	}
	return "function"
}

func undefinedError(u Undefined) error { return fmt.Errorf("%s is undefined", u.Name) }

// text is Python's str().
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case Undefined:
		return ""
	}
	return repr(v)
}

// repr is Python's repr().
func repr(v any) string {
	var b strings.Builder
	writeRepr(&b, v, 0)
	return b.String()
}

const maxNesting = 200 // of values that are printed or compared, and of expressions and blocks

// maxRepr bounds the text of one list or dictionary: it can hold another many times over.
const maxRepr = 4 << 20

func writeRepr(b *strings.Builder, v any, depth int) {
	if depth > maxNesting || b.Len() > maxRepr {
		b.WriteString("...")
		return
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case Undefined:
		b.WriteString("Undefined")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case bigInt:
		b.WriteString(string(v))
	case float64:
		b.WriteString(formatFloat(v))
	case string:
		writeQuoted(b, v)
	case *List:
		open, shut := "[", "]"
		if v.Tuple {
			open, shut = "(", ")"
		}
		b.WriteString(open)
		for i, item := range v.Items {
			if b.Len() > maxRepr {
				break
			}
			if i > 0 {
				b.WriteString(", ")
			}
			writeRepr(b, item, depth+1)
		}
		if v.Tuple && len(v.Items) == 1 {
			b.WriteString(",")
		}
		b.WriteString(shut)
	case *Dict:
		b.WriteString("{")
		for i, k := range v.keys {
			if b.Len() > maxRepr {
				break
			}
			if i > 0 {
				b.WriteString(", ")
			}
			writeRepr(b, k, depth+1)
			b.WriteString(": ")
			writeRepr(b, v.values[k], depth+1)
		}
		b.WriteString("}")
	default:
		fmt.Fprintf(b, "<%s>", typeName(v))
	}
}

// writeQuoted writes s as Python's repr does.
func writeQuoted(b *strings.Builder, s string) {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7F || r >= 0x80 && r <= 0xFF && !unicode.IsPrint(r):
			fmt.Fprintf(b, `\x%02x`, r)
		case !unicode.IsPrint(r) && r <= 0xFFFF:
			fmt.Fprintf(b, `\u%04x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteRune(quote)
}

// formatFloat is Python's repr of a float.
func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
