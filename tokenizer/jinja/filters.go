package jinja

import (
	"errors"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

func makeFilters() map[string]Func {
	str := func(f func(s string) string) Func {
		return func(c *Call) (any, error) {
			s := text(c.Args[0])
			return f(s), c.run.charge(len(s))
		}
	}
	same := func(c *Call) (any, error) { return c.Args[0], nil }
	filters := map[string]Func{
		"abs":        absFilter,
		"attr":       attrFilter,
		"batch":      batchFilter,
		"capitalize": str(capitalize),
		"center":     func(c *Call) (any, error) { return pad(text(c.Args[0]), c.rest(), " ", 1, 1) },
		"default":    defaultFilter,
		"dictsort":   dictsortFilter,
		"escape":     str(html.EscapeString),
		"first":      func(c *Call) (any, error) { return pick(c, func(items []any) any { return items[0] }) },
		"float":      floatFilter,
		"format":     func(c *Call) (any, error) { return c.run.percent(text(c.Args[0]), &List{c.Args[1:], true}) },
		"groupby":    groupbyFilter,
		"indent":     indentFilter,
		"int":        intFilter,
		"items":      itemsFilter,
		"join":       joinFilter,
		"last":       func(c *Call) (any, error) { return pick(c, func(items []any) any { return items[len(items)-1] }) },
		"length":     func(c *Call) (any, error) { n, err := length(c.Args[0]); return int64(n), err },
		"list":       listFilter,
		"lower":      str(strings.ToLower),
		"map":        mapFilter,
		"max":        func(c *Call) (any, error) { return extreme(c, 1) },
		"min":        func(c *Call) (any, error) { return extreme(c, -1) },
		"reject":     func(c *Call) (any, error) { return selection(c, false, false) },
		"rejectattr": func(c *Call) (any, error) { return selection(c, true, false) },
		"replace":    func(c *Call) (any, error) { return replace(text(c.Args[0]), c, 1) },
		"reverse":    reverseFilter,
		"round":      roundFilter,
		"safe":       same,
		"select":     func(c *Call) (any, error) { return selection(c, false, true) },
		"selectattr": func(c *Call) (any, error) { return selection(c, true, true) },
		"sort":       sortFilter,
		"string":     str(func(s string) string { return s }),
		"sum":        sumFilter,
		"title":      str(title),
		"tojson":     toJSON,
		"trim":       func(c *Call) (any, error) { return strip(text(c.Args[0]), c.rest(), true, true) },
		"truncate":   truncateFilter,
		"unique":     uniqueFilter,
		"upper":      str(upper),
		"wordcount":  func(c *Call) (any, error) { return int64(len(strings.Fields(text(c.Args[0])))), nil },
	}
	for alias, name := range map[string]string{"count": "length", "d": "default", "e": "escape", "forceescape": "escape"} {
		filters[alias] = filters[name]
	}
	return filters
}

// rest is the call without its first argument.
func (c *Call) rest() *Call {
	return &Call{Args: c.Args[1:], Names: c.Names, order: c.order, run: c.run}
}

// attrFilter takes an attribute: unlike the dot it does not look for keys.
func attrFilter(c *Call) (any, error) {
	v, name := c.Args[0], text(c.Arg(1, "name", ""))
	if isA[*Dict](v) {
		if m := c.run.method(v, name); m != nil {
			return m, nil
		}
		return Undefined{"'dict' attribute '" + name + "'"}, nil
	}
	return c.run.attribute(v, name)
}

func absFilter(c *Call) (any, error) {
	f, i, whole, ok := number(c.Args[0])
	switch {
	case !ok:
		return nil, fmt.Errorf("%s has no absolute value", typeName(c.Args[0]))
	case whole && i < 0:
		return wholeArithmetic("-", 0, i)
	case whole:
		return i, nil
	}
	return math.Abs(f), nil
}

func defaultFilter(c *Call) (any, error) {
	v := c.Args[0]
	if isUndefined(v) || truth(c.Arg(2, "boolean", false)) && !truth(v) {
		return c.Arg(1, "default_value", ""), nil
	}
	return v, nil
}

func pick(c *Call, f func(items []any) any) (any, error) {
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return Undefined{"an item of an empty sequence"}, nil
	}
	return f(items), nil
}

func listFilter(c *Call) (any, error) {
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	return &List{Items: slices.Clone(items)}, c.run.charge(16 * len(items))
}

func itemsFilter(c *Call) (any, error) {
	switch v := c.Args[0].(type) {
	case Undefined:
		return &List{}, nil
	case *Dict:
		return v.items(c.run)
	}
	return nil, errors.New("can only get item pairs from a mapping")
}

func joinFilter(c *Call) (any, error) {
	v := c.Args[0]
	if attr := c.Arg(2, "attribute", nil); attr != nil {
		var err error
		if v, err = c.run.mapped(v, func(item any) (any, error) { return c.run.path(item, attr) }); err != nil {
			return nil, err
		}
	}
	return c.run.joinItems(text(c.Arg(1, "d", "")), v, false)
}

// path follows an attribute such as "function.name" or 0.
func (r *run) path(v, attr any) (any, error) {
	name, ok := attr.(string)
	if !ok {
		return r.item(v, attr)
	}
	for _, part := range strings.Split(name, ".") {
		var key any = part
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			key = n
		}
		var err error
		if v, err = r.item(v, key); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (r *run) mapped(v any, f func(item any) (any, error)) (*List, error) {
	items, err := r.items(v)
	if err != nil {
		return nil, err
	}
	l := &List{}
	for _, item := range items {
		if err := r.charge(16); err != nil {
			return nil, err
		}
		v, err := f(item)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
	}
	return l, nil
}

// mapFilter applies a filter, or takes an attribute, of each item.
func mapFilter(c *Call) (any, error) {
	if attr, ok := c.Names["attribute"]; ok {
		return c.run.mapped(c.Args[0], func(item any) (any, error) {
			v, err := c.run.path(item, attr)
			if def, has := c.Names["default"]; has && err == nil && isUndefined(v) {
				v = def
			}
			return v, err
		})
	}
	name := text(c.Arg(1, "filter", ""))
	f, ok := filterFuncs()[name]
	if !ok {
		return nil, fmt.Errorf("filter %q is unknown", name)
	}
	return c.run.mapped(c.Args[0], func(item any) (any, error) {
		return c.run.callValue(f, &Call{Args: append([]any{item}, c.Args[2:]...), Names: c.Names, order: c.order, run: c.run})
	})
}

// selection keeps the items for which a test gives want.
func selection(c *Call, byAttr, want bool) (any, error) {
	args := c.Args[1:]
	var attr any
	if byAttr {
		if len(args) == 0 {
			return nil, errors.New("an attribute is missing")
		}
		attr, args = args[0], args[1:]
	}
	test := func(c *Call) (bool, error) { return truth(c.Args[0]), nil }
	if len(args) > 0 {
		name := text(args[0])
		f, ok := testFuncs()[name]
		if !ok {
			return nil, fmt.Errorf("test %q is unknown", name)
		}
		test, args = f, args[1:]
	}
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	l := &List{}
	for _, item := range items {
		if err := c.run.charge(16); err != nil {
			return nil, err
		}
		v := item
		if byAttr {
			if v, err = c.run.path(item, attr); err != nil {
				return nil, err
			}
		}
		yes, err := test(&Call{Args: append([]any{v}, args...), run: c.run})
		if err != nil {
			return nil, err
		}
		if yes == want {
			l.Items = append(l.Items, item)
		}
	}
	return l, nil
}

// sortKey makes the function that orders items: by an attribute, without regard to case unless asked.
func (c *Call) sortKey(attr any, caseSensitive bool) func(item any) (any, error) {
	return func(item any) (any, error) {
		var err error
		if attr != nil {
			if item, err = c.run.path(item, attr); err != nil {
				return nil, err
			}
		}
		if s, ok := item.(string); ok && !caseSensitive {
			item = strings.ToLower(s)
		}
		return item, nil
	}
}

// sorted returns items in the order of their keys.
func (c *Call) sorted(items []any, key func(item any) (any, error), reverse bool) ([]any, error) {
	type entry struct{ key, item any }
	entries := make([]entry, len(items))
	for i, item := range items {
		k, err := key(item)
		if err != nil {
			return nil, err
		}
		entries[i] = entry{k, item}
	}
	if err := c.run.charge(64 * len(items)); err != nil {
		return nil, err
	}
	var failed error
	slices.SortStableFunc(entries, func(a, b entry) int {
		if reverse {
			a, b = b, a
		}
		n, err := compare(a.key, b.key)
		if err != nil && failed == nil {
			failed = err
		}
		return n
	})
	out := make([]any, len(items))
	for i, e := range entries {
		out[i] = e.item
	}
	return out, failed
}

func sortFilter(c *Call) (any, error) {
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	key := c.sortKey(c.Arg(3, "attribute", nil), truth(c.Arg(2, "case_sensitive", false)))
	out, err := c.sorted(items, key, truth(c.Arg(1, "reverse", false)))
	return &List{Items: out}, err
}

func dictsortFilter(c *Call) (any, error) {
	d, ok := c.Args[0].(*Dict)
	if !ok {
		return nil, fmt.Errorf("%s is not a dict", typeName(c.Args[0]))
	}
	pairs, err := d.items(c.run)
	if err != nil {
		return nil, err
	}
	by := int64(0)
	if text(c.Arg(2, "by", "key")) == "value" {
		by = 1
	}
	out, err := c.sorted(pairs.(*List).Items, c.sortKey(by, truth(c.Arg(1, "case_sensitive", false))), truth(c.Arg(3, "reverse", false)))
	return &List{Items: out}, err
}

func groupbyFilter(c *Call) (any, error) {
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	attr := c.Arg(1, "attribute", nil)
	key := c.sortKey(attr, truth(c.Arg(3, "case_sensitive", false)))
	if items, err = c.sorted(items, key, false); err != nil {
		return nil, err
	}
	out := &List{}
	var last any
	for i, item := range items {
		k, err := key(item)
		if err != nil {
			return nil, err
		}
		if i == 0 || !equal(k, last) {
			shown, err := c.run.path(item, attr)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, &List{[]any{shown, &List{}}, true})
		}
		last = k
		group := out.Items[len(out.Items)-1].(*List).Items[1].(*List)
		group.Items = append(group.Items, item)
	}
	return out, nil
}

func uniqueFilter(c *Call) (any, error) {
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	key := c.sortKey(c.Arg(2, "attribute", nil), truth(c.Arg(1, "case_sensitive", false)))
	seen := NewDict()
	l := &List{}
	for _, item := range items {
		k, err := key(item)
		if err != nil {
			return nil, err
		}
		if !hashable(k) {
			return nil, fmt.Errorf("%s cannot be compared for uniqueness", typeName(k))
		}
		if _, ok := seen.Get(k); !ok {
			seen.Set(k, true)
			l.Items = append(l.Items, item)
		}
	}
	return l, c.run.charge(64 * len(items))
}

func extreme(c *Call, sign int) (any, error) {
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	key := c.sortKey(c.Arg(2, "attribute", nil), truth(c.Arg(1, "case_sensitive", false)))
	var best, bestKey any = Undefined{"the extreme of an empty sequence"}, nil
	for i, item := range items {
		k, err := key(item)
		if err != nil {
			return nil, err
		}
		n := sign
		if i > 0 {
			if n, err = compare(k, bestKey); err != nil {
				return nil, err
			}
		}
		if n*sign > 0 {
			best, bestKey = item, k
		}
	}
	return best, c.run.charge(len(items))
}

func sumFilter(c *Call) (any, error) {
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	sum := c.Arg(2, "start", int64(0))
	for _, item := range items {
		if attr := c.Arg(1, "attribute", nil); attr != nil {
			if item, err = c.run.path(item, attr); err != nil {
				return nil, err
			}
		}
		if sum, err = c.run.arithmetic("+", sum, item); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

func reverseFilter(c *Call) (any, error) {
	v := c.Args[0]
	if s, ok := v.(string); ok {
		return c.run.slice(s, nil, nil, int64(-1))
	}
	items, err := c.run.items(v)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(items)
	slices.Reverse(out)
	return &List{Items: out}, c.run.charge(16 * len(out))
}

func batchFilter(c *Call) (any, error) {
	items, err := c.run.items(c.Args[0])
	if err != nil {
		return nil, err
	}
	n, err := c.int(1, "linecount", 0)
	if err != nil || n < 1 {
		return nil, errors.New("linecount is not a whole number above 0")
	}
	fill := c.Arg(2, "fill_with", nil)
	out := &List{}
	for len(items) > 0 {
		m := min(n, len(items))
		row := &List{Items: slices.Clone(items[:m])}
		if fill != nil {
			if err := c.run.charge(16 * (n - m)); err != nil {
				return nil, err
			}
			for len(row.Items) < n {
				row.Items = append(row.Items, fill)
			}
		}
		out.Items = append(out.Items, row)
		items = items[m:]
	}
	return out, nil
}

func intFilter(c *Call) (any, error) {
	base, err := c.int(2, "base", 10)
	if err != nil || base < 2 || base > 36 {
		return nil, errors.New("base is not from 2 to 36")
	}
	switch v := c.Args[0].(type) {
	case bigInt:
		return v, nil
	case string:
		s := strings.TrimFunc(strings.ReplaceAll(v, "_", ""), unicode.IsSpace)
		if i, err := strconv.ParseInt(s, base, 64); err == nil {
			return i, nil
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < 1<<63 {
			return int64(f), nil
		}
	default:
		if f, i, whole, ok := number(v); whole {
			return i, nil
		} else if ok && math.Abs(f) < 1<<63 {
			return int64(f), nil
		}
	}
	return c.Arg(1, "default", int64(0)), nil
}

func floatFilter(c *Call) (any, error) {
	if s, ok := c.Args[0].(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			return f, nil
		}
	}
	if f, _, _, ok := number(c.Args[0]); ok {
		return f, nil
	}
	return c.Arg(1, "default", 0.0), nil
}

func roundFilter(c *Call) (any, error) {
	f, _, _, ok := number(c.Args[0])
	if !ok {
		return nil, fmt.Errorf("%s cannot be rounded", typeName(c.Args[0]))
	}
	digits, err := c.int(1, "precision", 0)
	if err != nil {
		return nil, err
	}
	digits = max(-300, min(digits, 300))
	switch scale := math.Pow(10, float64(digits)); text(c.Arg(2, "method", "common")) {
	case "ceil":
		return math.Ceil(f*scale) / scale, nil
	case "floor":
		return math.Floor(f*scale) / scale, nil
	default:
		if digits >= 0 {
			return strconv.ParseFloat(strconv.FormatFloat(f, 'f', digits, 64), 64)
		}
		return math.RoundToEven(f*scale) / scale, nil
	}
}

// indentFilter indents all lines but the first and empty ones.
func indentFilter(c *Call) (any, error) {
	s := text(c.Args[0])
	by := "    "
	switch w := c.Arg(1, "width", int64(4)).(type) {
	case int64:
		if w > 1000 {
			return nil, errors.New("width is too large")
		}
		by = strings.Repeat(" ", int(max(0, w)))
	case string:
		by = w
	}
	lines := strings.Split(s, "\n")
	if err := c.run.chargeTimes(len(by)+1, int64(len(lines))); err != nil {
		return nil, err
	}
	for i, line := range lines {
		if i == 0 && !truth(c.Arg(2, "first", false)) || line == "" && !truth(c.Arg(3, "blank", false)) {
			continue
		}
		lines[i] = by + line
	}
	return strings.Join(lines, "\n"), c.run.charge(len(s))
}

func truncateFilter(c *Call) (any, error) {
	s := []rune(text(c.Args[0]))
	n, err := c.int(1, "length", 255)
	if err != nil {
		return nil, err
	}
	leeway, err := c.int(4, "leeway", 5)
	if err != nil {
		return nil, err
	}
	tail := text(c.Arg(3, "end", "..."))
	if len(s) <= n+leeway || n < 0 {
		return string(s), nil
	}
	cut := string(s[:max(0, n-len([]rune(tail)))])
	if i := strings.LastIndexByte(cut, ' '); i >= 0 && !truth(c.Arg(2, "killwords", false)) {
		cut = cut[:i]
	}
	return cut + tail, nil
}
