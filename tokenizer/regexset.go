package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// setItem is one member of a bracket expression: a code point, or a class spelled for the inside of brackets.
type setItem struct {
	r     rune
	class bool
	text  string
}

// set translates a bracket expression, from [ to ], to one of regexp2. Sets in sets are supported as unions.
func (t *translator) set(depth int) (string, error) {
	if depth > maxDepth {
		return "", fmt.Errorf("sets are nested more than %d deep", maxDepth)
	}
	t.pos++
	var b strings.Builder
	b.WriteByte('[')
	if strings.HasPrefix(t.in[t.pos:], "^") {
		b.WriteByte('^')
		t.pos++
	}
	for first := true; ; first = false {
		if t.pos >= len(t.in) {
			return "", errPatternEnd
		}
		rest := t.in[t.pos:]
		switch {
		case rest[0] == ']' && !first:
			t.pos++
			b.WriteByte(']')
			return b.String(), nil
		case strings.HasPrefix(rest, "&&"):
			return "", errors.New("intersection of sets (&&) is not supported")
		case strings.HasPrefix(rest, "[:"):
			text, err := t.posix()
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			continue
		case rest[0] == '[':
			inner, err := t.set(depth + 1)
			if err != nil {
				return "", err
			}
			if strings.HasPrefix(inner, "[^") {
				return "", errors.New("a negated set inside a set is not supported")
			}
			b.WriteString(inner[1 : len(inner)-1])
			continue
		}
		if err := t.setRange(&b); err != nil {
			return "", err
		}
	}
}

// setRange translates one code point, class or range.
func (t *translator) setRange(b *strings.Builder) error {
	lo, err := t.setMember()
	if err != nil {
		return err
	}
	if lo.class {
		b.WriteString(lo.text)
		return nil
	}
	rest := t.in[t.pos:]
	if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' || rest[1] == '[' {
		if t.fold {
			b.WriteString(foldings(lo.r))
		} else {
			b.WriteString(spell(lo.r))
		}
		return nil
	}
	t.pos++
	hi, err := t.setMember()
	if err != nil {
		return err
	}
	if hi.class || hi.r < lo.r {
		return errors.New("bad range in a set")
	}
	b.WriteString(spell(lo.r) + "-" + spell(hi.r))
	if t.fold {
		for r := lo.r; r <= hi.r && r < lo.r+0x1000; r++ {
			if f := foldings(r); f != spell(r) {
				b.WriteString(f)
			}
		}
	}
	return nil
}

func (t *translator) setMember() (setItem, error) {
	if t.in[t.pos] == '\\' {
		item, _, err := t.setEscape()
		return item, err
	}
	r, n := utf8.DecodeRuneInString(t.in[t.pos:])
	t.pos += n
	return setItem{r: r}, nil
}

// setEscape reads an escape that stands for a code point or a class.
func (t *translator) setEscape() (item setItem, n int, err error) {
	if t.pos+1 >= len(t.in) {
		return item, 0, errPatternEnd
	}
	c := t.in[t.pos+1]
	t.pos += 2
	simple := map[byte]rune{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f', 'v': '\v', 'a': 7, 'e': 27, '0': 0, 'b': 8}
	if r, ok := simple[c]; ok {
		return setItem{r: r}, 2, nil
	}
	switch c {
	case 's', 'S', 'w', 'W', 'd', 'D', 'h', 'H':
		return setItem{class: true, text: shorthand(c)}, 2, nil
	case 'p', 'P':
		item, err = t.property(c == 'P')
	case 'x', 'u':
		item, err = t.hex(c)
	default:
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(t.in[t.pos-1:])
			t.pos += size - 1
			return setItem{r: r}, 0, nil
		}
		if c-'0' < 10 || unicode.IsLetter(rune(c)) {
			return item, 0, fmt.Errorf(`\%c is not supported`, c)
		}
		item.r = rune(c)
	}
	return item, 0, err
}

// hex reads the digits of \xHH, \x{H...} or \uHHHH.
func (t *translator) hex(c byte) (setItem, error) {
	digits := ""
	if rest := t.in[t.pos:]; strings.HasPrefix(rest, "{") {
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return setItem{}, errPatternEnd
		}
		digits = rest[1:end]
		t.pos += end + 1
	} else {
		n := 2
		if c == 'u' {
			n = 4
		}
		if len(rest) < n {
			return setItem{}, errPatternEnd
		}
		digits = rest[:n]
		t.pos += n
	}
	v, err := strconv.ParseUint(digits, 16, 21)
	if err != nil || !utf8.ValidRune(rune(v)) {
		return setItem{}, fmt.Errorf("%q is not a code point", digits)
	}
	return setItem{r: rune(v)}, nil
}

// property reads {Name} or {^Name} after \p.
func (t *translator) property(negate bool) (setItem, error) {
	rest := t.in[t.pos:]
	end := strings.IndexByte(rest, '}')
	if !strings.HasPrefix(rest, "{") || end < 0 {
		return setItem{}, errors.New(`\p without {name}`)
	}
	name := rest[1:end]
	t.pos += end + 1
	if strings.HasPrefix(name, "^") {
		name, negate = name[1:], !negate
	}
	text, err := propertyText(name, negate)
	return setItem{class: true, text: text}, err
}

func propertyText(name string, negate bool) (string, error) {
	p := "p"
	if negate {
		p = "P"
	}
	switch strings.ToLower(name) {
	case "l", "letter":
		return spelledClass(clsLetter, negate), nil
	case "n", "number":
		return spelledClass(clsNumber, negate), nil
	case "alpha", "alnum", "space", "digit", "upper", "lower", "punct", "xdigit", "word":
		if negate {
			return "", fmt.Errorf(`\P{%s} is not supported`, name)
		}
		return posixClass(strings.ToLower(name))
	}
	for table := range unicode.Categories {
		if strings.EqualFold(table, name) {
			return `\` + p + `{` + table + `}`, nil
		}
	}
	for table := range unicode.Scripts {
		if strings.EqualFold(table, name) {
			return `\` + p + `{` + table + `}`, nil
		}
	}
	return "", fmt.Errorf(`property \p{%s} is unknown`, name)
}

func (t *translator) posix() (string, error) {
	rest := t.in[t.pos:]
	end := strings.Index(rest, ":]")
	if end < 0 {
		return "", errPatternEnd
	}
	t.pos += end + 2
	return posixClass(rest[2:end])
}

func posixClass(name string) (string, error) {
	switch name {
	case "alpha":
		return spelledClass(clsLetter, false) + `\p{M}\p{Nl}`, nil
	case "alnum", "word":
		return shorthand('w'), nil
	case "space":
		return shorthand('s'), nil
	case "digit":
		return shorthand('d'), nil
	case "upper":
		return `\p{Lu}`, nil
	case "lower":
		return `\p{Ll}`, nil
	case "punct":
		return `\p{P}$+<=>^` + "`" + `|~`, nil
	case "xdigit":
		return shorthand('h'), nil
	}
	return "", fmt.Errorf("set [:%s:] is not supported", name)
}

// shorthand spells \s and its like for the inside of brackets.
func shorthand(c byte) string {
	switch c {
	case 's', 'S':
		return spelledClass(clsSpace, c == 'S')
	case 'w':
		return spelledClass(clsWord, false) + "²³¹¼-¾"
	case 'W':
		return spelledClass(clsWord, true)
	case 'd':
		return `\p{Nd}`
	case 'D':
		return `\P{Nd}`
	case 'h':
		return "0-9A-Fa-f"
	}
	return `\u0000-/:-@G-` + "`g-" + string(unicode.MaxRune)
}

// spelledClass lists the ranges of a class, or of its complement.
func spelledClass(c class, negate bool) string { return spellings()[spelling{c, negate}] }

type spelling struct {
	class  class
	negate bool
}

// spellings are those of the classes that patterns can name, made on first use by a walk over all code points.
var spellings = sync.OnceValue(func() map[spelling]string {
	names := [...]class{clsLetter, clsNumber, clsSpace, clsWord}
	out := map[spelling][]byte{}
	var from [len(names)]rune
	table := classes()
	last := table.of(0)
	for r := rune(1); r <= unicode.MaxRune+1; r++ {
		var c class
		if r <= unicode.MaxRune {
			c = table.of(r)
		} else {
			c = ^last // ends all ranges
		}
		if c == last {
			continue
		}
		for i, name := range names {
			if (c^last)&name == 0 {
				continue
			}
			key := spelling{name, last&name == 0}
			out[key] = append(out[key], spell(from[i])...)
			if r-1 > from[i] {
				out[key] = append(append(out[key], '-'), spell(r-1)...)
			}
			from[i] = r
		}
		last = c
	}
	text := map[spelling]string{}
	for key, ranges := range out {
		text[key] = string(ranges)
	}
	return text
})
