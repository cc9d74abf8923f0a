package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// FromJSON reads JSON into a value, keeping the order of keys.
func FromJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := fromJSON(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text behind the JSON value")
	}
	return v, nil
}

func fromJSON(d *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("JSON is nested more than %d deep", maxNesting)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		return jsonNumber(string(t))
	case json.Delim:
		if t == '[' {
			l := &List{}
			for d.More() {
				v, err := fromJSON(d, depth+1)
				if err != nil {
					return nil, err
				}
				l.Items = append(l.Items, v)
			}
			_, err := d.Token()
			return l, err
		}
		o := NewDict()
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := fromJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			o.Set(k, v)
		}
		_, err := d.Token()
		return o, err
	}
	return t, nil // string, bool or nil
}

func jsonNumber(s string) (any, error) {
	if strings.ContainsAny(s, ".eE") {
		return strconv.ParseFloat(s, 64)
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	return bigInt(s), nil
}

// jsonStyle is how json.dumps of Python is asked to write.
type jsonStyle struct {
	indent     string // one level; not used if flat
	flat       bool
	comma      string
	colon      string
	ascii      bool
	sortedKeys bool
}

// toJSON is the filter of that name as the transformers library has it: json.dumps without escaping non-ASCII.
func toJSON(c *Call) (any, error) {
	st := jsonStyle{flat: true, comma: ", ", colon: ": "}
	st.ascii = truth(c.Arg(1, "ensure_ascii", false))
	switch v := c.Arg(2, "indent", nil).(type) {
	case nil:
	case int64:
		if v > 1000 {
			return nil, errors.New("indent is too large")
		}
		st.flat, st.comma, st.indent = false, ",", strings.Repeat(" ", int(max(0, v)))
	case string:
		st.flat, st.comma, st.indent = false, ",", v
	default:
		return nil, errors.New("indent is neither a number nor a string")
	}
	if l, ok := c.Arg(3, "separators", nil).(*List); ok && len(l.Items) == 2 {
		st.comma, st.colon = text(l.Items[0]), text(l.Items[1])
	}
	st.sortedKeys = truth(c.Arg(4, "sort_keys", false))
	var b strings.Builder
	if err := st.write(&b, c.run, c.Args[0], 0); err != nil {
		return nil, err
	}
	return b.String(), nil
}

func (st jsonStyle) newline(b *strings.Builder, depth int) {
	if !st.flat {
		b.WriteByte('\n')
		for range depth {
			b.WriteString(st.indent)
		}
	}
}

func (st jsonStyle) write(b *strings.Builder, r *run, v any, depth int) error {
	if depth > maxNesting {
		return errors.New("value is nested too deep")
	}
	before := b.Len()
	defer func() { r.work += b.Len() - before }()
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64, bigInt:
		b.WriteString(text(v))
	case float64:
		switch s := formatFloat(v); s {
		case "nan":
			b.WriteString("NaN")
		case "inf":
			b.WriteString("Infinity")
		case "-inf":
			b.WriteString("-Infinity")
		default:
			b.WriteString(s)
		}
	case string:
		st.quote(b, v)
	case *List:
		if len(v.Items) == 0 {
			b.WriteString("[]")
			return nil
		}
		b.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				b.WriteString(st.comma)
			}
			st.newline(b, depth+1)
			if err := r.charge(len(st.indent) * depth); err != nil {
				return err
			}
			if err := st.write(b, r, item, depth+1); err != nil {
				return err
			}
		}
		st.newline(b, depth)
		b.WriteByte(']')
	case *Dict:
		return st.object(b, r, v, depth)
	case Undefined:
		return undefinedError(v)
	default:
		return fmt.Errorf("%s cannot be written as JSON", typeName(v))
	}
	return nil
}

func (st jsonStyle) object(b *strings.Builder, r *run, d *Dict, depth int) error {
	if d.Len() == 0 {
		b.WriteString("{}")
		return nil
	}
	keys := d.keys
	if st.sortedKeys {
		keys = slices.Clone(keys)
		slices.SortStableFunc(keys, func(a, b any) int { return strings.Compare(text(a), text(b)) })
	}
	b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			b.WriteString(st.comma)
		}
		st.newline(b, depth+1)
		if err := r.charge(len(st.indent) * depth); err != nil {
			return err
		}
		switch k := k.(type) {
		case string:
			st.quote(b, k)
		case nil:
			b.WriteString(`"null"`)
		default:
			b.WriteString(`"` + text(k) + `"`)
		}
		b.WriteString(st.colon)
		if err := st.write(b, r, d.values[k], depth+1); err != nil {
			return err
		}
	}
	st.newline(b, depth)
	b.WriteByte('}')
	return nil
}

func (st jsonStyle) quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\b':
			b.WriteString(`\b`)
		case c == '\f':
			b.WriteString(`\f`)
		case c < ' ' || st.ascii && c >= 0x7F && c <= 0xFFFF && c != 0x7F:
			fmt.Fprintf(b, `\u%04x`, c)
		case st.ascii && c > 0xFFFF:
			c -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xD800+c>>10, 0xDC00+c&0x3FF)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
}
