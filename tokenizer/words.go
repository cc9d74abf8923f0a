package tokenizer

// Hand-written forms of the regular expressions that most byte-level tokenizers use. The alternatives come in the order of the
// pattern; a test compares each function with the general engine.

// The patterns as they stand in tokenizer.json.
const (
	gpt2Pattern   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	qwenPattern   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// knownWords finds the function for a pattern by its text.
var knownWords = map[string]wordSplit{
	gpt2Pattern:   gpt2Word,
	qwenPattern:   qwenWord,
	llama3Pattern: llama3Word,
}

const clsVisible = clsLetter | clsNumber | clsSpace // a code point with none of these is "other"

// gpt2Word is gpt2Pattern.
func gpt2Word(t *classTable, text []byte, i int) int {
	if text[i] == '\'' {
		if n := contraction(text[i+1:], false); n > 0 {
			return i + 1 + n
		}
	}
	c, n := t.at(text, i)
	if text[i] == ' ' {
		if next, m := t.at(text, i+1); m > 0 && next&clsSpace == 0 {
			return runEnd(t, text, i+1+m, next&clsVisible)
		}
	}
	if c&clsSpace != 0 {
		return spaceEnd(t, text, i)
	}
	return runEnd(t, text, i+n, c&clsVisible)
}

func qwenWord(t *classTable, text []byte, i int) int   { return cl100kWord(t, text, i, 1) }
func llama3Word(t *classTable, text []byte, i int) int { return cl100kWord(t, text, i, 3) }

// cl100kWord is qwenPattern and llama3Pattern, which differ in the number of digits.
func cl100kWord(t *classTable, text []byte, i, digits int) int {
	if text[i] == '\'' {
		if n := contraction(text[i+1:], true); n > 0 {
			return i + 1 + n
		}
	}
	c, n := t.at(text, i)
	if c&clsLetter != 0 {
		return runEnd(t, text, i+n, clsLetter)
	}
	if c&clsNumber != 0 {
		end := i + n
		for ; digits > 1; digits-- {
			next, m := t.at(text, end)
			if next&clsNumber == 0 {
				break
			}
			end += m
		}
		return end
	}
	next, m := t.at(text, i+n)
	if next&clsLetter != 0 && text[i] != '\r' && text[i] != '\n' {
		return runEnd(t, text, i+n+m, clsLetter)
	}
	if c&clsSpace == 0 {
		return lineEnds(text, runEnd(t, text, i+n, 0))
	}
	if text[i] == ' ' && m > 0 && next&clsVisible == 0 {
		return lineEnds(text, runEnd(t, text, i+1+m, 0))
	}
	end, afterLine := i, 0
	for {
		c, n := t.at(text, end)
		if c&clsSpace == 0 {
			break
		}
		if text[end] == '\r' || text[end] == '\n' {
			afterLine = end + n
		}
		end += n
	}
	if afterLine > 0 {
		return afterLine
	}
	return spaceEnd(t, text, i)
}

// contraction returns the length of the English ending that text, which follows an apostrophe, starts with.
func contraction(text []byte, fold bool) int {
	var a, b byte
	if len(text) > 0 {
		a = text[0]
	}
	if len(text) > 1 {
		b = text[1]
	}
	if fold {
		if a == 0xC5 && b == 0xBF { // U+017F, a long s
			return 2
		}
		a, b = foldASCII(a), foldASCII(b)
	}
	switch {
	case a == 's', a == 't', a == 'm', a == 'd':
		return 1
	case a == 'r' && b == 'e', a == 'v' && b == 'e', a == 'l' && b == 'l':
		return 2
	}
	return 0
}

func foldASCII(c byte) byte {
	if c-'A' < 26 {
		c += 'a' - 'A'
	}
	return c
}

// runEnd returns the end of the run of code points of kind want (a part of clsVisible, 0 for other) from i on.
func runEnd(t *classTable, text []byte, i int, want class) int {
	for {
		c, n := t.at(text, i)
		if n == 0 || c&clsVisible != want {
			return i
		}
		i += n
	}
}

func lineEnds(text []byte, i int) int {
	for i < len(text) && (text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// spaceEnd is \s+(?!\S)|\s+: all white space up to the end of the text, otherwise all but its last code point.
func spaceEnd(t *classTable, text []byte, i int) int {
	start, last := i, i
	for {
		c, n := t.at(text, i)
		if n == 0 {
			return i
		}
		if c&clsSpace == 0 {
			break
		}
		last, i = i, i+n
	}
	if last > start {
		return last
	}
	return i
}
