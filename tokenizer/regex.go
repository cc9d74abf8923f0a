package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

const (
	maxRegex     = 1 << 16         // bytes of a pattern
	regexTimeout = 2 * time.Second // for one match, against patterns that explode
)

// compileRegex compiles a pattern in the dialect of Oniguruma (Ruby's), which tokenizer.json uses.
func compileRegex(expr string) (pattern, error) {
	if word, ok := knownWords[expr]; ok {
		return word, nil
	}
	return newRegex(expr)
}

// regex is a pattern of the general engine, a backtracking one with look-around.
type regex struct{ re *regexp2.Regexp }

func newRegex(expr string) (regex, error) {
	if len(expr) > maxRegex {
		return regex{}, fmt.Errorf("regular expression of %d bytes; at most %d are allowed", len(expr), maxRegex)
	}
	t := translator{in: expr}
	if err := t.translate(); err != nil {
		return regex{}, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	re, err := regexp2.Compile(string(t.out), regexp2.None)
	if err != nil {
		return regex{}, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	re.MatchTimeout = regexTimeout
	return regex{re}, nil
}

// find matches from left to right. An empty match right behind another match does not count. If a match takes
// too long, the rest of the text counts as a gap.
func (x regex) find(text []byte, start, end int, dst []match) []match {
	runes := []rune(string(text[start:end]))
	done, at := start, 0   // bytes: end of the last match; code points: where to look next
	lastEnd := -1          // code points: end of the last match
	pos, posAt := start, 0 // the same place in bytes and code points
	byteOf := func(i int) int {
		for ; posAt < i; posAt++ {
			pos += utf8.RuneLen(runes[posAt])
		}
		return pos
	}
	for at <= len(runes) {
		m, err := x.re.FindRunesMatchStartingAt(runes, at)
		if err != nil || m == nil {
			break
		}
		if m.Length == 0 && m.Index == lastEnd {
			at++
			continue
		}
		from := byteOf(m.Index)
		at = m.Index + m.Length
		lastEnd = at
		dst = appendMatch(dst, done, from, byteOf(at))
		done = pos
	}
	return appendGap(dst, done, end)
}

// translator rewrites an Oniguruma pattern for package regexp2, whose dialect is that of .NET:
//
//	x?+ x*+ x++      become atomic groups
//	^ $              match at every line, . does not match a line feed, (?m) lets it
//	\s \w \d \h \R   are spelled out, as are \p{L} and \p{N}, whose tables differ
//	(?i:s)           becomes [sSſ]: folding by Unicode
type translator struct {
	in   string
	pos  int
	out  []byte
	fold bool // inside (?i)
	dot  bool // inside (?m): the dot matches a line feed
}

var errPatternEnd = errors.New("ends too early")

func (t *translator) translate() error {
	if err := t.alternatives(0); err != nil {
		return err
	}
	if t.pos < len(t.in) {
		return errors.New("unmatched )")
	}
	return nil
}

// alternatives translates up to the end of the group.
func (t *translator) alternatives(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("groups are nested more than %d deep", maxDepth)
	}
	fold, dot := t.fold, t.dot
	for t.pos < len(t.in) && t.in[t.pos] != ')' {
		if t.in[t.pos] == '|' {
			t.pos++
			t.out = append(t.out, '|')
			continue
		}
		if err := t.piece(depth); err != nil {
			return err
		}
	}
	t.fold, t.dot = fold, dot
	return nil
}

// piece translates an atom with its quantifiers.
func (t *translator) piece(depth int) error {
	start := len(t.out)
	if err := t.atom(depth); err != nil {
		return err
	}
	atom := string(t.out[start:])
	for t.pos < len(t.in) {
		q := t.quantifier()
		if q == "" {
			break
		}
		interval := q[0] == '{'
		next := byte(0)
		if t.pos < len(t.in) {
			next = t.in[t.pos]
		}
		switch {
		case next == '?':
			t.pos++
			atom = "(?:" + atom + q + "?)"
		case next == '+' && !interval: // in Ruby {n,m}+ repeats, it is not possessive
			t.pos++
			atom = "(?>" + atom + q + ")"
		default:
			atom = "(?:" + atom + q + ")"
		}
	}
	t.out = append(t.out[:start], atom...)
	return nil
}

// quantifier reads ?, *, + or {n,m} without what may follow.
func (t *translator) quantifier() string {
	switch c := t.in[t.pos]; c {
	case '?', '*', '+':
		t.pos++
		return string(c)
	case '{':
		end := strings.IndexByte(t.in[t.pos:], '}')
		if end < 0 {
			return ""
		}
		body := t.in[t.pos+1 : t.pos+end]
		if body == "" || body == "," || strings.Trim(body, "0123456789,") != "" || strings.Count(body, ",") > 1 {
			return ""
		}
		t.pos += end + 1
		if body[0] == ',' {
			body = "0" + body
		}
		return "{" + body + "}"
	}
	return ""
}

func (t *translator) atom(depth int) error {
	r, n := utf8.DecodeRuneInString(t.in[t.pos:])
	switch r {
	case '(':
		return t.group(depth)
	case '[':
		set, err := t.set(depth)
		t.out = append(t.out, set...)
		return err
	case '\\':
		return t.escape()
	case '.':
		if t.dot {
			t.out = append(t.out, `[\s\S]`...)
		} else {
			t.out = append(t.out, `[^\n]`...)
		}
	case '^':
		t.out = append(t.out, `(?m:^)`...)
	case '$':
		t.out = append(t.out, `(?m:$)`...)
	default:
		t.out = append(t.out, t.literal(r)...)
	}
	t.pos += n
	return nil
}

// group translates from ( to the matching ).
func (t *translator) group(depth int) error {
	open := "("
	fold, dot := t.fold, t.dot
	rest := t.in[t.pos:]
	switch {
	case strings.HasPrefix(rest, "(?#"):
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return errPatternEnd
		}
		t.pos += end + 1
		return nil
	case strings.HasPrefix(rest, "(?<=") || strings.HasPrefix(rest, "(?<!"):
		open = rest[:4]
	case strings.HasPrefix(rest, "(?<"):
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return errPatternEnd
		}
		t.pos += end + 1 - len(open)
	case strings.HasPrefix(rest, "(?:") || strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?>"):
		open = rest[:3]
	case strings.HasPrefix(rest, "(?"):
		end := strings.IndexAny(rest, ":)")
		if end < 0 {
			return errPatternEnd
		}
		if err := t.flags(rest[2:end]); err != nil {
			return err
		}
		t.pos += end + 1
		if rest[end] == ')' { // up to the end of the enclosing group, alternatives included
			t.out = append(t.out, "(?:"...)
			err := t.alternatives(depth + 1)
			t.fold, t.dot = fold, dot
			t.out = append(t.out, ')')
			return err
		}
		open = "(?:"
		t.pos -= len(open)
	}
	t.pos += len(open)
	t.out = append(t.out, open...)
	if err := t.alternatives(depth + 1); err != nil {
		return err
	}
	t.fold, t.dot = fold, dot
	if t.pos >= len(t.in) {
		return errPatternEnd
	}
	t.pos++
	t.out = append(t.out, ')')
	return nil
}

func (t *translator) flags(flags string) error {
	on := true
	for _, f := range flags {
		switch f {
		case '-':
			on = false
		case 'i':
			t.fold = on
		case 'm':
			t.dot = on
		default:
			return fmt.Errorf("option (?%c) is not supported; i and m are", f)
		}
	}
	return nil
}

// escape translates a backslash and what follows, outside of a set.
func (t *translator) escape() error {
	if t.pos+1 >= len(t.in) {
		return errPatternEnd
	}
	switch c := t.in[t.pos+1]; c {
	case 'A', 'z', 'Z', 'b', 'B', 'G':
		t.out = append(t.out, t.in[t.pos:t.pos+2]...)
		t.pos += 2
		return nil
	case 'R':
		t.out = append(t.out, `(?>\r\n|[\n-\r\u0085\u2028\u2029])`...)
		t.pos += 2
		return nil
	case 'K', 'X', 'N', 'O', 'y', 'Y', 'k', 'g', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return fmt.Errorf(`\%c is not supported`, c)
	}
	item, _, err := t.setEscape()
	if err != nil {
		return err
	}
	if item.class {
		t.out = append(t.out, "["+item.text+"]"...)
	} else {
		t.out = append(t.out, t.literal(item.r)...)
	}
	return nil
}

// literal spells one code point.
func (t *translator) literal(r rune) string {
	if !t.fold {
		return spell(r)
	}
	if set := foldings(r); set != spell(r) {
		return "[" + set + "]"
	}
	return spell(r)
}

// foldings spells r and what differs from it in case only.
func foldings(r rune) string {
	set := spell(r)
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		set += spell(f)
	}
	return set
}

// spell writes r so that it means itself in and out of sets.
func spell(r rune) string {
	switch {
	case r > 0xFFFF, r >= 0x80 && unicode.IsLetter(r):
		return string(r)
	case r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
		return string(r)
	}
	return fmt.Sprintf(`\u%04X`, r)
}
