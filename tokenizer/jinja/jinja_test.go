package jinja

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func render(t *testing.T, source string, limits Limits) (string, error) {
	t.Helper()
	template, err := Parse(source)
	if err != nil {
		return "", err
	}
	return template.Render(t.Context(), map[string]any{"x": "value"}, limits)
}

// TestBounds: templates that would take all time, memory or stack end in an error.
func TestBounds(t *testing.T) {
	tests := map[string]string{
		"loops":            `{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}`,
		"range":            `{{ range(10 ** 12) }}`,
		"repetition":       `{{ 'a' * 10 ** 15 }}`,
		"repeated lists":   `{{ [0] * 10 ** 12 }}`,
		"doubling":         `{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
		"doubling tilde":   `{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}`,
		"doubling lists":   `{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
		"join":             `{% set s = 'a' * 1000000 %}{{ ([s] * 1000) | join }}{{ ([s] * 1000) | join }}`,
		"replace":          `{{ ('a' * 100000) | replace('a', 'b' * 100000) }}`,
		"padding":          `{{ 'a' | center(10 ** 14) }}`,
		"indentation":      `{{ ('\n' * 1000000) | indent(1000) }}`,
		"format":           `{{ '%999999999d' % 1 }}`,
		"output":           `{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}`,
		"macro recursion":  `{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}`,
		"loop recursion":   `{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}`,
		"map recursion":    `{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}`,
		"shared JSON":      `{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}`,
		"parentheses":      "{{ " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + " }}",
		"brackets":         "{{ " + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + " }}",
		"signs":            "{{ " + strings.Repeat("-", 100000) + "1 }}",
		"negations":        "{{ " + strings.Repeat("not ", 100000) + "1 }}",
		"conditions":       "{{ " + strings.Repeat("1 if 0 else ", 50000) + "1 }}",
		"blocks":           strings.Repeat("{% if 1 %}", 50000) + strings.Repeat("{% endif %}", 50000),
		"source":           strings.Repeat("a", 2<<20),
		"no such template": `{% include '/etc/passwd' %}`,
		"import":           `{% import 'os' as os %}`,
	}
	for name, source := range tests {
		start := time.Now()
		if out, err := render(t, source, Limits{}); err == nil {
			t.Errorf("%s: %.40q, want an error", name, out)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

// TestShared prints and compares values that hold others 2^64 times over: the results are cut short.
func TestShared(t *testing.T) {
	const double = `{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}`
	for _, use := range []string{"{{ ns.s }}", "{{ ns.s == ns.t }}", "{{ ns.s in [ns.t] }}"} {
		if _, err := render(t, double+use, Limits{}); err != nil {
			t.Errorf("%s: %v", use, err)
		}
	}
	if _, err := render(t, double+"{{ ns.s < ns.t }}", Limits{}); err == nil {
		t.Error("an endless comparison came to an end")
	}
}

func TestDeadline(t *testing.T) {
	template, err := Parse(`{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := template.Render(ctx, nil, Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestLimits(t *testing.T) {
	if _, err := render(t, "{{ x }}", Limits{Output: 4}); err == nil {
		t.Error("five bytes were written where four are allowed")
	}
	if out, err := render(t, "{{ x }}", Limits{Output: 5}); out != "value" || err != nil {
		t.Errorf("%q, error %v", out, err)
	}
	if _, err := render(t, "{{ x * 1000 }}", Limits{Work: 1000}); !errors.Is(err, ErrLimit) {
		t.Errorf("error %v, want ErrLimit", err)
	}
}

// TestIsolation: one rendering leaves no trace in the next.
func TestIsolation(t *testing.T) {
	template, err := Parse(`{{ y is defined }}{% set y = 1 %}{% set range = 2 %}{{ y }}`)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out, err := template.Render(t.Context(), map[string]any{}, Limits{}); out != "False1" || err != nil {
			t.Errorf("%q, error %v", out, err)
		}
	}
}

func TestErrorLines(t *testing.T) {
	_, err := render(t, "a\n{% if true %}\n  {{ nothing.more }}\n{% endif %}", Limits{})
	var fault *RenderError
	if !errors.As(err, &fault) || fault.Line != 3 || !strings.Contains(err.Error(), "'nothing' is undefined") {
		t.Errorf("error %v, want 'nothing' is undefined in line 3", err)
	}
}

func TestFromJSON(t *testing.T) {
	v, err := FromJSON([]byte(`{"z": 1, "a": [1.0, 1e2, 123456789012345678901234567890, null, true, "\u00e9<"], "m": {}}`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := mustParse(t, "{{ v | tojson }}").Render(t.Context(), map[string]any{"v": v}, Limits{})
	if want := `{"z": 1, "a": [1.0, 100.0, 123456789012345678901234567890, null, true, "é<"], "m": {}}`; out != want || err != nil {
		t.Errorf("%s, error %v, want %s", out, err, want)
	}
	for _, bad := range []string{"", "{", "1 2", strings.Repeat("[", 1000) + strings.Repeat("]", 1000)} {
		if _, err := FromJSON([]byte(bad)); err == nil {
			t.Errorf("%.20s: no error", bad)
		}
	}
}

func mustParse(t *testing.T, source string) *Template {
	t.Helper()
	template, err := Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func FuzzRender(f *testing.F) {
	for _, s := range []string{"{{ x }}", "{% for a in [1, 2] if a %}{{ loop.index }}{% else %}{% endfor %}", "{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro %}{{ m(x) }}",
		"{{ x[1:-1] | upper }}", "{%- raw -%} {{ {% endraw %}", "{{ {'a': [1, (2,)]} | tojson(indent=2) }}", "{% set a, b = 'xy' %}{{ '%s' % a }}", "{# c -#} {{- x.split('l')[-1] -}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		template, err := Parse(source)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = template.Render(ctx, map[string]any{"x": "hello"}, Limits{Work: 1 << 20})
	})
}
