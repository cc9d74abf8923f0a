package jinja

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// percent is "..." % values: %s, %r, %d, %i, %f, %x, %% with flags, width and precision.
func (r *run) percent(s string, v any) (any, error) {
	args := []any{v}
	if l, ok := v.(*List); ok && l.Tuple {
		args = l.Items
	}
	var b strings.Builder
	next := 0
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		n := strings.IndexFunc(s, func(c rune) bool { return !strings.ContainsRune("-+ #0123456789.", c) })
		if n < 0 || n > 10 {
			return nil, errors.New("incomplete format")
		}
		flags, verb := s[:n], s[n]
		s = s[n+1:]
		if verb == '%' {
			b.WriteByte('%')
			continue
		}
		if next >= len(args) {
			return nil, errors.New("not enough values for the format")
		}
		out, err := formatOne(flags, verb, args[next])
		if err != nil {
			return nil, err
		}
		next++
		if err := r.charge(len(out)); err != nil {
			return nil, err
		}
		b.WriteString(out)
	}
	if next < len(args) {
		if _, isDict := v.(*Dict); !isDict {
			return nil, errors.New("not all values were used by the format")
		}
	}
	return b.String(), nil
}

func formatOne(flags string, verb byte, v any) (string, error) {
	for _, part := range strings.Split(strings.TrimLeft(flags, "-+ #0"), ".") {
		if n, _ := strconv.Atoi(part); n > 1000 {
			return "", errors.New("width is too large")
		}
	}
	f, i, whole, ok := number(v)
	switch verb {
	case 's':
		return fmt.Sprintf("%"+flags+"s", text(v)), nil
	case 'r':
		return fmt.Sprintf("%"+flags+"s", repr(v)), nil
	case 'd', 'i', 'x', 'X', 'o':
		if !ok {
			break
		}
		if !whole {
			i = int64(f)
		}
		if verb == 'i' {
			verb = 'd'
		}
		return fmt.Sprintf("%"+flags+string(verb), i), nil
	case 'f', 'F', 'e', 'E', 'g', 'G':
		if ok {
			return fmt.Sprintf("%"+flags+string(verb), f), nil
		}
	default:
		return "", fmt.Errorf("format %%%c is not supported", verb)
	}
	return "", fmt.Errorf("%%%c needs a number, not %s", verb, typeName(v))
}

// formatMethod is "...".format(...): {} {0} {name}, with !r and !s, and simple specifications behind a colon.
func formatMethod(s string, c *Call) (any, error) {
	var b strings.Builder
	auto := 0
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		if i+1 < len(s) && s[i+1] == s[i] {
			b.WriteByte(s[i])
			s = s[i+2:]
			continue
		}
		shut := strings.IndexByte(s[i:], '}')
		if s[i] == '}' || shut < 0 {
			return nil, errors.New("single brace in a format")
		}
		field := s[i+1 : i+shut]
		s = s[i+shut+1:]
		field, spec, _ := strings.Cut(field, ":")
		field, conv, _ := strings.Cut(field, "!")
		var v any
		if field == "" {
			field = strconv.Itoa(auto)
			auto++
		}
		if n, err := strconv.Atoi(field); err == nil {
			if n < 0 || n >= len(c.Args) {
				return nil, errors.New("not enough values for the format")
			}
			v = c.Args[n]
		} else {
			var ok bool
			if v, ok = c.Names[field]; !ok {
				return nil, fmt.Errorf("format names %q, which is not given", field)
			}
		}
		out, err := formatField(v, conv, spec)
		if err != nil {
			return nil, err
		}
		if err := c.run.charge(len(out)); err != nil {
			return nil, err
		}
		b.WriteString(out)
	}
	return b.String(), nil
}

func formatField(v any, conv, spec string) (string, error) {
	if conv == "r" {
		v = repr(v)
	}
	if spec == "" {
		return text(v), nil
	}
	verb := spec[len(spec)-1]
	if strings.IndexByte("sdxXofFeEgG", verb) >= 0 {
		spec = spec[:len(spec)-1]
	} else {
		verb = 's'
		if _, _, whole, ok := number(v); ok && whole {
			verb = 'd'
		}
	}
	if strings.HasPrefix(spec, "<") {
		spec = "-" + spec[1:]
	}
	spec = strings.TrimPrefix(spec, ">")
	if strings.Trim(spec, "-+ 0123456789.") != "" || len(spec) > 10 {
		return "", fmt.Errorf("format specification %q is not supported", spec)
	}
	return formatOne(spec, verb, v)
}
