// Package jinja renders the Jinja templates that chat models carry, as the Python library does in its sandbox:
// the same values, whitespace and errors for what such templates use.
//
// Templates come from strangers. They see nothing but the values that they are given; loading other templates is
// an error. Time, memory and depth are bounded: see [Limits].
//
// (General Jinja libraries for Go do not tell None from undefined, do not parse conditional expressions inside of other
// expressions, and cannot be stopped by a deadline or a memory bound.)
package jinja
