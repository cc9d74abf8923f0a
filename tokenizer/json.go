package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanner walks over JSON without building a tree: the vocabulary and merges of a tokenizer.json hold several hundred
// thousand strings. The small parts of the file go through encoding/json.
type scanner struct {
	data []byte
	pos  int
	buf  []byte // unescaped string
}

const maxDepth = 64 // nesting of a tokenizer.json; real ones stay below ten

var errJSON = errors.New("not valid JSON")

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("%w at byte %d: %s", errJSON, s.pos, fmt.Sprintf(format, args...))
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if got := s.peek(); got != c {
		return s.errorf("%q expected", c)
	}
	s.pos++
	return nil
}

// list calls f at each element of the array or object that starts here; f must consume it. key is the
// member's name in an object (valid until the next string is read) and nil in an array.
func (s *scanner) list(f func(key []byte) error) error {
	open := s.peek()
	if open != '{' && open != '[' {
		return s.errorf("an object or array expected")
	}
	s.pos++
	end := open + 2 // '{' -> '}', '[' -> ']'
	if s.peek() == end {
		s.pos++
		return nil
	}
	for {
		var key []byte
		if open == '{' {
			var err error
			if key, err = s.string(); err != nil {
				return err
			}
			if err := s.expect(':'); err != nil {
				return err
			}
		}
		if err := f(key); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case end:
			s.pos++
			return nil
		default:
			return s.errorf("%q or %q expected", ',', end)
		}
	}
}

// string reads a string. The result is valid until the next call.
func (s *scanner) string() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.valid(s.data[start : s.pos-1])
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return nil, s.errorf("control character in a string")
		default:
			s.pos++
		}
	}
	return nil, s.errorf("string without an end")
}

// escaped reads the rest of a string that has escapes; the encoding/json package unescapes it.
func (s *scanner) escaped(start int) ([]byte, error) {
	for s.pos < len(s.data) && s.data[s.pos] != '"' {
		if s.data[s.pos] == '\\' {
			s.pos++
		}
		s.pos++
	}
	if s.pos >= len(s.data) {
		return nil, s.errorf("string without an end")
	}
	s.pos++
	raw := s.data[start-1 : s.pos]
	if len(raw) == 4 && raw[1] == '\\' && (raw[2] == '"' || raw[2] == '\\') { // the common ones
		s.buf = append(s.buf[:0], raw[2])
		return s.buf, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, s.errorf("%v", err)
	}
	s.buf = append(s.buf[:0], text...)
	return s.buf, nil
}

func (s *scanner) valid(b []byte) ([]byte, error) {
	if !utf8.Valid(b) {
		return nil, s.errorf("string is not UTF-8")
	}
	return b, nil
}

// id reads a token id: an integer from 0 to 2^31-1.
func (s *scanner) id() (int32, error) {
	s.peek()
	start, n := s.pos, int64(0)
	for s.pos < len(s.data) && s.data[s.pos]-'0' < 10 && n < 1<<31 {
		n = n*10 + int64(s.data[s.pos]-'0')
		s.pos++
	}
	if s.pos == start || n >= 1<<31 {
		return 0, s.errorf("a token id from 0 to %d expected", 1<<31-1)
	}
	return int32(n), nil
}

// null consumes a null if there is one.
func (s *scanner) null() bool {
	if s.peek() == 'n' && bytes.HasPrefix(s.data[s.pos:], []byte("null")) {
		s.pos += 4
		return true
	}
	return false
}

func (s *scanner) stringOrNull() (string, error) {
	if s.null() {
		return "", nil
	}
	b, err := s.string()
	return string(b), err
}

// numberOrNull gives -1 for null.
func (s *scanner) numberOrNull() (float64, error) {
	if s.null() {
		return -1, nil
	}
	return s.number()
}

// boolean reads true, false or null, which is false.
func (s *scanner) boolean() (bool, error) {
	raw, err := s.raw()
	if err != nil {
		return false, err
	}
	switch string(raw) {
	case "true":
		return true, nil
	case "false", "null":
		return false, nil
	}
	return false, s.errorf("true or false expected")
}

// number reads a number.
func (s *scanner) number() (float64, error) {
	raw, err := s.raw()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || strings.Trim(string(raw), "0123456789+-.eE") != "" { // no Inf, no NaN
		return 0, s.errorf("a number expected")
	}
	return f, nil
}

// raw returns the text of the value that starts here.
func (s *scanner) raw() (json.RawMessage, error) {
	s.peek()
	start, depth := s.pos, 0
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '"':
			if end := s.skipString(); end < 0 {
				return nil, s.errorf("string without an end")
			}
		case '{', '[':
			s.pos++
			if depth++; depth > maxDepth {
				return nil, s.errorf("nested more than %d deep", maxDepth)
			}
			continue
		case '}', ']':
			s.pos++
			depth--
		case ' ', '\t', '\n', '\r', ',', ':':
			s.pos++
			continue
		default: // a literal or number
			for s.pos < len(s.data) && !bytes.ContainsRune([]byte(" \t\n\r,:\"{}[]"), rune(s.data[s.pos])) {
				s.pos++
			}
		}
		if depth == 0 {
			return s.data[start:s.pos], nil
		}
		if depth < 0 {
			break
		}
	}
	return nil, s.errorf("a value expected")
}

func (s *scanner) skipString() int {
	for i := s.pos + 1; i < len(s.data); i++ {
		switch s.data[i] {
		case '\\':
			i++
		case '"':
			s.pos = i + 1
			return s.pos
		}
	}
	return -1
}
