package loader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodeJSON decodes text, the content of the named file, into v. Errors name
// the file and, where there is one, the line and column or the field.
func decodeJSON(name string, text []byte, v any) error {
	err := json.Unmarshal(text, v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case len(bytes.TrimSpace(text)) == 0:
		return fmt.Errorf("%s is empty", name)
	case errors.As(err, &syntax):
		line, column := position(text, syntax.Offset)
		return fmt.Errorf("%s:%d:%d: not valid JSON: %w", name, line, column, err)
	case errors.As(err, &kind):
		line, column := position(text, kind.Offset)
		if kind.Field == "" {
			return fmt.Errorf("%s:%d:%d: expected an object, found a JSON %s", name, line, column, kind.Value)
		}
		return fmt.Errorf("%s:%d:%d: %s is a JSON %s, which does not fit %s", name, line, column, kind.Field, kind.Value, kind.Type)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// position returns the line and column, both from 1, of the last byte read
// when the decoder had read offset bytes.
func position(text []byte, offset int64) (line, column int) {
	before := text[:min(max(offset-1, 0), int64(len(text)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1
}

// scanner walks JSON that may be hostile: unlike json.Unmarshal it refuses
// names that occur twice and never builds values that nobody asked for.
type scanner struct {
	dec *json.Decoder
}

func newScanner(text []byte) *scanner {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return &scanner{dec}
}

// scanObject walks text, which must be one JSON object in UTF-8 and nothing
// after it, and calls each for every name, to consume the value.
func scanObject(text []byte, each func(s *scanner, name string) error) error {
	if !utf8.Valid(text) {
		return errors.New("not valid UTF-8")
	}
	s := newScanner(text)
	if err := s.object("the content", func(name string) error { return each(s, name) }); err != nil {
		return err
	}
	const space = " \t\r\n" // what JSON takes for space (RFC 8259, section 2), less than bytes.TrimSpace does
	if rest := bytes.Trim(text[s.dec.InputOffset():], space); len(rest) > 0 {
		return fmt.Errorf("byte %d: data after the end of the object", s.dec.InputOffset())
	}
	return nil
}

func (s *scanner) token() (json.Token, error) {
	t, err := s.dec.Token()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("the JSON ends too early")
	case err != nil:
		return nil, fmt.Errorf("byte %d: not valid JSON: %w", s.dec.InputOffset(), err)
	}
	return t, nil
}

func (s *scanner) wrong(what, want string, found json.Token) error {
	return fmt.Errorf("byte %d: %s must be %s, found %s", s.dec.InputOffset(), what, want, describe(found))
}

func describe(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(shorten(t))
	case json.Number:
		return shorten(t.String())
	default:
		return fmt.Sprint(t)
	}
}

// shorten cuts what a file says to a length that fits an error message.
func shorten(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// object consumes an object and calls each after every name, to consume the value.
func (s *scanner) object(what string, each func(name string) error) error {
	t, err := s.token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return s.wrong(what, "an object", t)
	}
	seen := make(map[string]struct{})
	for s.dec.More() {
		t, err := s.token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return s.wrong("a name", "a string", t)
		}
		if _, twice := seen[name]; twice {
			return fmt.Errorf("byte %d: the name %q occurs twice", s.dec.InputOffset(), shorten(name))
		}
		seen[name] = struct{}{}
		if err := each(name); err != nil {
			return err
		}
	}
	_, err = s.token()
	return err
}

// naturals consumes an array of at most limit integers that are 0 or more.
func (s *scanner) naturals(what string, limit int) ([]int64, error) {
	t, err := s.token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('[') {
		return nil, s.wrong(what, "an array", t)
	}
	values := []int64{}
	for s.dec.More() {
		t, err := s.token()
		if err != nil {
			return nil, err
		}
		n, ok := t.(json.Number)
		v, err := strconv.ParseInt(string(n), 10, 64)
		if !ok || err != nil || v < 0 {
			return nil, s.wrong(what, "integers from 0 to 2^63-1", t)
		}
		if len(values) == limit {
			return nil, fmt.Errorf("byte %d: %s has more than %d entries", s.dec.InputOffset(), what, limit)
		}
		values = append(values, v)
	}
	_, err = s.token()
	return values, err
}

// text consumes a string.
func (s *scanner) text(what string) (string, error) {
	t, err := s.token()
	if err != nil {
		return "", err
	}
	v, ok := t.(string)
	if !ok {
		return "", s.wrong(what, "a string", t)
	}
	return v, nil
}

// skip consumes any value.
func (s *scanner) skip() error {
	for depth := 0; ; {
		t, err := s.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
