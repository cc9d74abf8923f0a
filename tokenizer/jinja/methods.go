package jinja

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// method returns the method of a value, nil if there is none. Methods that change their object do not exist, as in the sandbox
// that chat templates run in.
func (r *run) method(v any, name string) any {
	switch v := v.(type) {
	case string:
		if m, ok := stringMethods[name]; ok {
			return Func(func(c *Call) (any, error) { return m(v, c) })
		}
	case *Dict:
		if m, ok := dictMethods[name]; ok {
			return Func(func(c *Call) (any, error) { return m(v, c) })
		}
	case *List:
		if m, ok := listMethods[name]; ok {
			return Func(func(c *Call) (any, error) { return m(v, c) })
		}
	}
	return nil
}

var dictMethods = map[string]func(d *Dict, c *Call) (any, error){
	"get": func(d *Dict, c *Call) (any, error) {
		if key := c.Arg(0, "key", nil); hashable(key) {
			if v, ok := d.Get(key); ok {
				return v, nil
			}
		}
		return c.Arg(1, "default", nil), nil
	},
	"keys":   func(d *Dict, c *Call) (any, error) { return &List{Items: d.keys}, nil },
	"values": func(d *Dict, c *Call) (any, error) { return d.list(c.run, func(_, v any) any { return v }) },
	"items":  func(d *Dict, c *Call) (any, error) { return d.items(c.run) },
	"copy":   func(d *Dict, c *Call) (any, error) { return (&Call{Args: []any{d}, run: c.run}).named() },
}

func (d *Dict) items(r *run) (any, error) {
	return d.list(r, func(k, v any) any { return &List{[]any{k, v}, true} })
}

func (d *Dict) list(r *run, f func(k, v any) any) (any, error) {
	l := &List{}
	for _, k := range d.keys {
		l.Items = append(l.Items, f(k, d.values[k]))
	}
	return l, r.charge(64 * d.Len())
}

var listMethods = map[string]func(l *List, c *Call) (any, error){
	"index": func(l *List, c *Call) (any, error) {
		for i, v := range l.Items {
			if equal(v, c.Arg(0, "value", nil)) {
				return int64(i), nil
			}
		}
		return nil, errors.New("value is not in the list")
	},
	"count": func(l *List, c *Call) (any, error) {
		n := int64(0)
		for _, v := range l.Items {
			n += toInt(equal(v, c.Arg(0, "value", nil)))
		}
		return n, nil
	},
	"copy": func(l *List, c *Call) (any, error) { return c.run.slice(l, nil, nil, nil) },
}

var stringMethods = map[string]func(s string, c *Call) (any, error){
	"upper":      func(s string, _ *Call) (any, error) { return upper(s), nil },
	"lower":      func(s string, _ *Call) (any, error) { return strings.ToLower(s), nil },
	"casefold":   func(s string, _ *Call) (any, error) { return strings.ToLower(s), nil },
	"capitalize": func(s string, _ *Call) (any, error) { return capitalize(s), nil },
	"title":      func(s string, _ *Call) (any, error) { return title(s), nil },
	"strip":      func(s string, c *Call) (any, error) { return strip(s, c, true, true) },
	"lstrip":     func(s string, c *Call) (any, error) { return strip(s, c, true, false) },
	"rstrip":     func(s string, c *Call) (any, error) { return strip(s, c, false, true) },
	"startswith": func(s string, c *Call) (any, error) { return affix(s, c, strings.HasPrefix) },
	"endswith":   func(s string, c *Call) (any, error) { return affix(s, c, strings.HasSuffix) },
	"split":      func(s string, c *Call) (any, error) { return split(s, c, false) },
	"rsplit":     func(s string, c *Call) (any, error) { return split(s, c, true) },
	"splitlines": splitLines,
	"replace":    func(s string, c *Call) (any, error) { return replace(s, c, 0) },
	"join":       func(s string, c *Call) (any, error) { return c.run.joinItems(s, c.Arg(0, "iterable", nil), true) },
	"find":       func(s string, c *Call) (any, error) { return find(s, c, strings.Index) },
	"rfind":      func(s string, c *Call) (any, error) { return find(s, c, strings.LastIndex) },
	"index":      func(s string, c *Call) (any, error) { return found(find(s, c, strings.Index)) },
	"rindex":     func(s string, c *Call) (any, error) { return found(find(s, c, strings.LastIndex)) },
	"count":      countString,
	"removeprefix": func(s string, c *Call) (any, error) {
		a, err := c.str(0, "prefix")
		return strings.TrimPrefix(s, a), err
	},
	"removesuffix": func(s string, c *Call) (any, error) {
		a, err := c.str(0, "suffix")
		return strings.TrimSuffix(s, a), err
	},
	"partition":  func(s string, c *Call) (any, error) { return partition(s, c, false) },
	"rpartition": func(s string, c *Call) (any, error) { return partition(s, c, true) },
	"format":     formatMethod,
	"zfill":      func(s string, c *Call) (any, error) { return pad(s, c, "0", 1, 0) },
	"ljust":      func(s string, c *Call) (any, error) { return pad(s, c, " ", 0, 1) },
	"rjust":      func(s string, c *Call) (any, error) { return pad(s, c, " ", 1, 0) },
	"center":     func(s string, c *Call) (any, error) { return pad(s, c, " ", 1, 1) },
	"isdigit":    func(s string, _ *Call) (any, error) { return every(s, unicode.IsDigit), nil },
	"isdecimal":  func(s string, _ *Call) (any, error) { return every(s, unicode.IsDigit), nil },
	"isnumeric":  func(s string, _ *Call) (any, error) { return every(s, unicode.IsNumber), nil },
	"isalpha":    func(s string, _ *Call) (any, error) { return every(s, unicode.IsLetter), nil },
	"isalnum": func(s string, _ *Call) (any, error) {
		return every(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }), nil
	},
	"isspace": func(s string, _ *Call) (any, error) { return every(s, unicode.IsSpace), nil },
	"isupper": func(s string, _ *Call) (any, error) { return s == strings.ToUpper(s) && hasCase(s), nil },
	"islower": func(s string, _ *Call) (any, error) { return s == strings.ToLower(s) && hasCase(s), nil },
}

func every(s string, f func(r rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !f(r) }) < 0
}

func upper(s string) string { return strings.ReplaceAll(strings.ToUpper(s), "ß", "SS") }

func capitalize(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return string(unicode.ToTitle(r)) + strings.ToLower(s[n:])
}

// title writes the first letter of each word in upper case and the others in lower case.
func title(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		was := inWord
		inWord = unicode.IsLetter(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, s)
}

func strip(s string, c *Call, left, right bool) (any, error) {
	cut := unicode.IsSpace
	if set := c.Arg(0, "chars", nil); set != nil {
		chars, ok := set.(string)
		if !ok {
			return nil, errors.New("the characters to strip are not a string")
		}
		cut = func(r rune) bool { return strings.ContainsRune(chars, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, cut)
	}
	if right {
		s = strings.TrimRightFunc(s, cut)
	}
	return s, nil
}

// affix asks whether s starts or ends with a string, or with one of several.
func affix(s string, c *Call, has func(s, affix string) bool) (any, error) {
	switch a := c.Arg(0, "prefix", nil).(type) {
	case string:
		return has(s, a), nil
	case *List:
		for _, item := range a.Items {
			if t, ok := item.(string); ok && has(s, t) {
				return true, nil
			}
		}
		return false, nil
	}
	return nil, errors.New("a string or a tuple of strings expected")
}

func (r *run) strings(items []string) (any, error) {
	l := &List{Items: make([]any, len(items))}
	for i, s := range items {
		l.Items[i] = s
	}
	return l, r.charge(32 * len(items))
}

func split(s string, c *Call, fromRight bool) (any, error) {
	most, err := c.int(1, "maxsplit", -1)
	if err != nil {
		return nil, err
	}
	if err := c.run.charge(16 * len(s)); err != nil {
		return nil, err
	}
	sep := c.Arg(0, "sep", nil)
	if sep == nil {
		return c.run.strings(fields(s, most, fromRight))
	}
	by, ok := sep.(string)
	if !ok || by == "" {
		return nil, errors.New("the separator is not a string, or empty")
	}
	parts := strings.Split(s, by)
	if most >= 0 && len(parts) > most+1 {
		if fromRight {
			n := len(parts) - most
			parts = append([]string{strings.Join(parts[:n], by)}, parts[n:]...)
		} else {
			parts = append(parts[:most:most], strings.Join(parts[most:], by))
		}
	}
	return c.run.strings(parts)
}

// fields splits at white space, at most so many times.
func fields(s string, most int, fromRight bool) []string {
	if most < 0 {
		return strings.Fields(s)
	}
	var out []string
	if fromRight {
		for s = strings.TrimRightFunc(s, unicode.IsSpace); s != ""; s = strings.TrimRightFunc(s, unicode.IsSpace) {
			i := strings.LastIndexFunc(s, unicode.IsSpace)
			if len(out) == most {
				i = -1
			}
			_, n := utf8.DecodeRuneInString(s[max(i, 0):])
			from := 0
			if i >= 0 {
				from = i + n
			}
			out = append([]string{s[from:]}, out...)
			s = s[:max(i, 0)]
		}
		return out
	}
	for s = strings.TrimLeftFunc(s, unicode.IsSpace); s != ""; s = strings.TrimLeftFunc(s, unicode.IsSpace) {
		i := strings.IndexFunc(s, unicode.IsSpace)
		if i < 0 || len(out) == most {
			i = len(s)
		}
		out = append(out, s[:i])
		s = s[i:]
	}
	return out
}

func splitLines(s string, c *Call) (any, error) {
	keep := truth(c.Arg(0, "keepends", false))
	var out []string
	for s != "" {
		i := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if i < 0 {
			out = append(out, s)
			break
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		line := s[:i]
		if keep {
			line = s[:i+n]
		}
		out = append(out, line)
		s = s[i+n:]
	}
	return c.run.strings(out)
}

// replace is the method; the filter has the string as argument too, so that its arguments start at first.
func replace(s string, c *Call, first int) (any, error) {
	old, err := c.str(first, "old")
	if err != nil {
		return nil, err
	}
	by, err := c.str(first+1, "new")
	if err != nil {
		return nil, err
	}
	most, err := c.int(first+2, "count", -1)
	if err != nil {
		return nil, err
	}
	n := strings.Count(s, old)
	if most >= 0 {
		n = min(n, most)
	}
	if err := c.run.chargeTimes(len(by)+1, int64(n)); err != nil {
		return nil, err
	}
	return strings.Replace(s, old, by, n), c.run.charge(len(s))
}

// joinItems joins texts; strict demands strings, as the method does and the filter does not.
func (r *run) joinItems(sep string, v any, strict bool) (any, error) {
	items, err := r.items(v)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, item := range items {
		if _, ok := item.(string); strict && !ok {
			return nil, fmt.Errorf("item %d to join is not a string but %s", i, typeName(item))
		}
		s := text(item)
		if err := r.charge(len(s) + len(sep)); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func find(s string, c *Call, index func(s, sub string) int) (any, error) {
	sub, err := c.str(0, "sub")
	if err != nil {
		return nil, err
	}
	i := index(s, sub)
	if i > 0 {
		i = utf8.RuneCountInString(s[:i])
	}
	return int64(i), c.run.charge(len(s))
}

func found(v any, err error) (any, error) {
	if err == nil && v == int64(-1) {
		err = errors.New("substring not found")
	}
	return v, err
}

func countString(s string, c *Call) (any, error) {
	sub, err := c.str(0, "sub")
	return int64(strings.Count(s, sub)), err
}

func partition(s string, c *Call, fromRight bool) (any, error) {
	sep, err := c.str(0, "sep")
	if err != nil || sep == "" {
		return nil, errors.New("the separator is not a string, or empty")
	}
	i := strings.Index(s, sep)
	parts := []any{s, "", ""}
	if fromRight {
		i = strings.LastIndex(s, sep)
		parts = []any{"", "", s}
	}
	if i >= 0 {
		parts = []any{s[:i], sep, s[i+len(sep):]}
	}
	return &List{parts, true}, c.run.charge(len(s))
}

// pad fills s up to a width; before and after say on which sides.
func pad(s string, c *Call, fill string, before, after int) (any, error) {
	width, err := c.int(0, "width", 0)
	if err != nil {
		return nil, err
	}
	if f, ok := c.Arg(1, "fillchar", fill).(string); ok {
		fill = f
	}
	n := width - utf8.RuneCountInString(s)
	if n <= 0 {
		return s, nil
	}
	if err := c.run.chargeTimes(len(fill), int64(n)); err != nil {
		return nil, err
	}
	sign := ""
	if fill == "0" && before == 1 && after == 0 && (strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+")) {
		sign, s = s[:1], s[1:]
	}
	left := n * before / max(1, before+after)
	if before == 1 && after == 1 {
		left = n/2 + n&width&1
	}
	return sign + strings.Repeat(fill, left) + s + strings.Repeat(fill, n-left), nil
}
