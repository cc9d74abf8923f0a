package tokenizer

import (
	"fmt"
	"strings"
	"time"
)

// strftime writes a time in C's format; templates put the date into the system prompt with it. Directives that it does
// not know stay as they are.
func strftime(t time.Time, format string) string {
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
		'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'S': "05", 'T': "15:04:05",
		'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST", 'R': "15:04",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		unpadded := format[i] == '-' && i+1 < len(format)
		if unpadded {
			i++
		}
		out := ""
		switch c := format[i]; c {
		case '%':
			out = "%"
		case 'n':
			out = "\n"
		case 't':
			out = "\t"
		case 'j':
			out = fmt.Sprintf("%03d", t.YearDay())
		case 'f':
			out = fmt.Sprintf("%06d", t.Nanosecond()/1000)
		default:
			layout, ok := layouts[c]
			if !ok {
				b.WriteByte('%')
			}
			if out = string(c); ok {
				out = t.Format(layout)
			}
		}
		if unpadded {
			if short := strings.TrimLeft(out, "0 "); short != "" {
				out = short
			} else {
				out = "0"
			}
		}
		b.WriteString(out)
	}
	return b.String()
}
