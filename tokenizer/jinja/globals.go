package jinja

import (
	"errors"
	"fmt"
)

// globalFuncs are the functions that every template sees.
var globalFuncs = map[string]Func{
	"range":           rangeFunc,
	"dict":            dictFunc,
	"namespace":       namespaceFunc,
	"joiner":          joinerFunc,
	"cycler":          cyclerFunc,
	"raise_exception": raiseFunc,
}

// RaisedError is what a template's raise_exception(message) makes of its message.
type RaisedError struct{ Message string }

func (e *RaisedError) Error() string { return e.Message }

func raiseFunc(c *Call) (any, error) {
	return nil, &RaisedError{text(c.Arg(0, "message", ""))}
}

func rangeFunc(c *Call) (any, error) {
	start, stop, step := 0, 0, 1
	var err error
	if len(c.Args) < 2 {
		stop, err = c.int(0, "stop", 0)
	} else {
		if start, err = c.int(0, "start", 0); err == nil {
			stop, err = c.int(1, "stop", 0)
		}
		if err == nil {
			step, err = c.int(2, "step", 1)
		}
	}
	if err != nil {
		return nil, err
	}
	if step == 0 {
		return nil, errors.New("range: step is 0")
	}
	const most = 100000 // as in the sandbox of the Python library
	l := &List{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(l.Items) == most {
			return nil, fmt.Errorf("range: more than %d items", most)
		}
		l.Items = append(l.Items, int64(i))
	}
	return l, c.run.charge(16 * len(l.Items))
}

// named makes a dictionary of the keyword arguments, in their order, on top of a dictionary as argument.
func (c *Call) named() (*Dict, error) {
	d := NewDict()
	if len(c.Args) > 0 {
		from, ok := c.Args[0].(*Dict)
		if !ok {
			return nil, fmt.Errorf("%s is not a dict", typeName(c.Args[0]))
		}
		for _, k := range from.keys {
			d.Set(k, from.values[k])
		}
	}
	for _, n := range c.order {
		d.Set(n, c.Names[n])
	}
	return d, c.run.charge(64 * d.Len())
}

func dictFunc(c *Call) (any, error) { return c.named() }

func namespaceFunc(c *Call) (any, error) {
	d, err := c.named()
	return &Namespace{d}, err
}

func joinerFunc(c *Call) (any, error) {
	sep, used := c.Arg(0, "sep", ", "), false
	return Func(func(*Call) (any, error) {
		if !used {
			used = true
			return "", nil
		}
		return sep, nil
	}), nil
}

// cycler is an object with next, reset and current.
type cycler struct {
	items []any
	pos   int
}

func cyclerFunc(c *Call) (any, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("cycler: at least one item has to be provided")
	}
	return &cycler{items: c.Args}, nil
}

func (y *cycler) attribute(name string) any {
	switch name {
	case "current":
		return y.items[y.pos]
	case "next":
		return Func(func(*Call) (any, error) {
			v := y.items[y.pos]
			y.pos = (y.pos + 1) % len(y.items)
			return v, nil
		})
	case "reset":
		return Func(func(*Call) (any, error) {
			y.pos = 0
			return nil, nil
		})
	}
	return nil
}
