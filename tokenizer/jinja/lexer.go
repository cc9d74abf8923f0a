package jinja

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	data    kind = iota // text between tags
	varOpen             // {{
	varEnd              // }}
	tagOpen             // {%
	tagEnd              // %}
	name
	str
	integer
	float
	op
	end // of the template
)

type token struct {
	kind kind
	text string
	line int
}

// SyntaxError is a fault in the text of a template.
type SyntaxError struct {
	Line int
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("template line %d: %s", e.Line, e.Msg) }

// lexer cuts a template into tokens. It strips the first line end after a tag and the blanks before a tag that starts its line,
// the options trim_blocks and lstrip_blocks that chat templates are written for.
type lexer struct {
	src       string
	pos       int
	line      int
	lineStart bool // nothing but stripped text since the last line end
	tokens    []token
}

func lex(src string) ([]token, error) {
	src = strings.ReplaceAll(src, "\r\n", "\n")
	src = strings.ReplaceAll(src, "\r", "\n")
	l := lexer{src: strings.TrimSuffix(src, "\n"), line: 1, lineStart: true}
	for l.pos < len(l.src) {
		if err := l.text(); err != nil {
			return nil, err
		}
	}
	l.add(end, "")
	return l.tokens, nil
}

func (l *lexer) add(k kind, text string) { l.tokens = append(l.tokens, token{k, text, l.line}) }

func (l *lexer) errorf(format string, args ...any) error {
	return &SyntaxError{l.line, fmt.Sprintf(format, args...)}
}

// skip moves on by n bytes.
func (l *lexer) skip(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

// text reads data up to the next tag, and the tag.
func (l *lexer) text() error {
	rest := l.src[l.pos:]
	i, open := 0, ""
	for {
		j := strings.IndexByte(rest[i:], '{')
		if j < 0 || i+j+1 >= len(rest) {
			l.emit(rest)
			l.skip(len(rest))
			return nil
		}
		i += j
		if open = rest[i : i+2]; open == "{{" || open == "{%" || open == "{#" {
			break
		}
		i++
	}
	sign := ""
	if n := i + 2; n < len(rest) && (rest[n] == '-' || rest[n] == '+') {
		sign = rest[n : n+1]
	}
	l.emit(l.stripBefore(rest[:i], open, sign))
	l.skip(i + 2 + len(sign))
	l.lineStart = false
	switch open {
	case "{{":
		return l.expression(varOpen, varEnd, "}}")
	case "{#":
		return l.comment()
	}
	if raw, n := l.rawTag("raw"); raw {
		l.skip(n)
		l.afterTag("%}")
		return l.raw()
	}
	return l.expression(tagOpen, tagEnd, "%}")
}

func (l *lexer) emit(text string) {
	if text != "" {
		l.add(data, text)
	}
}

// stripBefore strips the text before a tag.
func (l *lexer) stripBefore(text, open, sign string) string {
	switch {
	case sign == "-":
		return strings.TrimRightFunc(text, unicode.IsSpace)
	case sign == "" && open != "{{":
		start := strings.LastIndexByte(text, '\n') + 1
		if (start > 0 || l.lineStart) && strings.TrimFunc(text[start:], unicode.IsSpace) == "" {
			return text[:start]
		}
	}
	return text
}

// afterTag strips the text after a tag whose end, without sign, is close; the end starts at pos.
func (l *lexer) afterTag(close string) {
	sign := l.src[l.pos]
	if sign == '-' || sign == '+' {
		l.skip(1)
	}
	l.skip(len(close))
	from := l.pos
	switch {
	case sign == '-':
		rest := l.src[l.pos:]
		l.skip(len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsSpace)))
	case sign != '+' && close != "}}" && strings.HasPrefix(l.src[l.pos:], "\n"):
		l.skip(1)
	}
	l.lineStart = l.pos > from && l.src[l.pos-1] == '\n'
}

func (l *lexer) comment() error {
	i := strings.Index(l.src[l.pos:], "#}")
	if i < 0 {
		return l.errorf("comment without an end")
	}
	if i > 0 && (l.src[l.pos+i-1] == '-' || l.src[l.pos+i-1] == '+') {
		i--
	}
	l.skip(i)
	l.afterTag("#}")
	return nil
}

// rawTag says whether a tag with just the name want starts here (after its opening), and how long it is up to the end mark.
func (l *lexer) rawTag(want string) (bool, int) {
	rest := strings.TrimLeft(l.src[l.pos:], " \t\n")
	after, ok := strings.CutPrefix(rest, want)
	if !ok {
		return false, 0
	}
	after = strings.TrimLeft(after, " \t\n")
	if strings.HasPrefix(after, "%}") || strings.HasPrefix(after, "-%}") || strings.HasPrefix(after, "+%}") {
		return true, len(l.src) - l.pos - len(after)
	}
	return false, 0
}

// raw reads up to endraw.
func (l *lexer) raw() error {
	start := l.pos
	for i := start; ; {
		j := strings.Index(l.src[i:], "{%")
		if j < 0 {
			return l.errorf("raw without endraw")
		}
		open := i + j
		i = open + 2
		sign := ""
		if i < len(l.src) && (l.src[i] == '-' || l.src[i] == '+') {
			sign = l.src[i : i+1]
		}
		save := l.pos
		l.pos = i + len(sign)
		ok, n := l.rawTag("endraw")
		tag := l.pos
		l.pos = save
		if ok {
			l.emit(l.stripBefore(l.src[start:open], "{%", sign))
			l.skip(tag + n - l.pos)
			l.afterTag("%}")
			return nil
		}
	}
}

// expression reads the tokens of a tag.
func (l *lexer) expression(open, shut kind, close string) error {
	l.add(open, "")
	var brackets []byte
	for {
		for l.pos < len(l.src) && strings.IndexByte(" \t\n\v\f", l.src[l.pos]) >= 0 {
			l.skip(1)
		}
		rest := l.src[l.pos:]
		if rest == "" {
			return l.errorf("tag without an end, %q expected", close)
		}
		if len(brackets) == 0 {
			bare := strings.TrimPrefix(strings.TrimPrefix(rest, "-"), "+")
			if strings.HasPrefix(bare, close) && len(rest)-len(bare) <= 1 {
				l.add(shut, "")
				l.afterTag(close)
				return nil
			}
		}
		if err := l.token(rest); err != nil {
			return err
		}
		t := l.tokens[len(l.tokens)-1]
		if t.kind != op {
			continue
		}
		switch c := t.text[0]; c {
		case '(', '[', '{':
			brackets = append(brackets, c)
		case ')', ']', '}':
			if len(brackets) == 0 {
				return l.errorf("unexpected %q", t.text)
			}
			brackets = brackets[:len(brackets)-1]
		}
	}
}

var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ".", ",", ":", "|", ";"}

func (l *lexer) token(rest string) error {
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case r == '\'' || r == '"':
		return l.str(rest)
	case r >= '0' && r <= '9':
		return l.number(rest)
	case r == '_' || unicode.IsLetter(r):
		n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(rest)
		}
		l.add(name, rest[:n])
		l.skip(n)
		return nil
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o) {
			l.add(op, o)
			l.skip(len(o))
			return nil
		}
	}
	return l.errorf("unexpected %q", r)
}

func (l *lexer) number(rest string) error {
	n, k := 0, integer
	digits := func() {
		for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == '_' && n+1 < len(rest) && rest[n+1]-'0' < 10) {
			n++
		}
	}
	if len(rest) > 2 && rest[0] == '0' && strings.IndexByte("xXbBoO", rest[1]) >= 0 {
		for n = 2; n < len(rest) && (rest[n] == '_' || strings.IndexByte("0123456789abcdefABCDEF", rest[n]) >= 0); {
			n++
		}
	} else {
		digits()
		if n+1 < len(rest) && rest[n] == '.' && rest[n+1]-'0' < 10 {
			k = float
			n++
			digits()
		}
		if n < len(rest) && (rest[n] == 'e' || rest[n] == 'E') {
			m := n + 1
			if m < len(rest) && (rest[m] == '+' || rest[m] == '-') {
				m++
			}
			if m < len(rest) && rest[m]-'0' < 10 {
				k, n = float, m
				digits()
			}
		}
	}
	l.add(k, strings.ReplaceAll(rest[:n], "_", ""))
	l.skip(n)
	return nil
}

// str reads a string with Python's escapes.
func (l *lexer) str(rest string) error {
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; c {
		case rest[0]:
			l.add(str, b.String())
			l.skip(i + 1)
			return nil
		case '\\':
			n, err := unescape(&b, rest[i+1:])
			if err != nil {
				return l.errorf("%v", err)
			}
			i += n
		default:
			b.WriteByte(c)
		}
	}
	return l.errorf("string without an end")
}

// unescape writes what the escape after a backslash stands for and returns its length.
func unescape(b *strings.Builder, s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	if i := strings.IndexByte("abfnrtv\\'\"", s[0]); i >= 0 {
		b.WriteByte("\a\b\f\n\r\t\v\\'\""[i])
		return 1, nil
	}
	digits, base, max := 0, 16, 0
	switch s[0] {
	case '\n':
		return 1, nil
	case 'x':
		max = 2
	case 'u':
		max = 4
	case 'U':
		max = 8
	case '0', '1', '2', '3', '4', '5', '6', '7':
		base, max = 8, 3
	default: // unknown escapes stand for themselves
		b.WriteByte('\\')
		return 0, nil
	}
	from := 0
	if base == 16 {
		from = 1
	}
	r := rune(0)
	for digits < max && from+digits < len(s) {
		d := strings.IndexByte("0123456789abcdef", s[from+digits]|0x20)
		if c := s[from+digits]; c >= '0' && c <= '9' {
			d = int(c - '0')
		}
		if d < 0 || d >= base {
			break
		}
		r = r*rune(base) + rune(d)
		digits++
	}
	if base == 16 && digits < max || !utf8.ValidRune(r) {
		return 0, fmt.Errorf("bad escape \\%c in a string", s[0])
	}
	b.WriteRune(r)
	return from + digits, nil
}
