package whisper

import (
	"slices"
	"strings"
	"unicode/utf8"

	"emily/arch"
)

// word is some tokens of a text.
type word struct {
	text   string
	tokens int
}

// unspaced are the languages that put no spaces between words: each character
// is a word there.
var unspaced = []string{"zh", "ja", "th", "lo", "my", "yue"}

// Punctuation that belongs to the word after or before it.
const (
	opening = "\"'“¿([{-"
	closing = "\"'.。,，!！?？:：”)]}、"
)

// split divides the tokens of a text into words.
func (t *transcription) split(ids []int32) []word {
	words := t.characters(ids)
	if !slices.Contains(unspaced, t.code()) {
		words = joinUnspaced(words)
	}
	return joinPunctuation(words)
}

// characters groups tokens into the shortest runs that are whole characters.
func (t *transcription) characters(ids []int32) []word {
	var words []word
	from := 0
	for i := range ids {
		text := t.tokenizer.Decode(ids[from:i+1], false)
		if strings.ContainsRune(text, utf8.RuneError) && i < len(ids)-1 {
			continue
		}
		words = append(words, word{text, i + 1 - from})
		from = i + 1
	}
	return words
}

// joinUnspaced appends what does not start with a space to the word before it;
// punctuation stays alone.
func joinUnspaced(parts []word) []word {
	var words []word
	for _, p := range parts {
		alone := strings.HasPrefix(p.text, " ") || strings.ContainsAny(p.text, punctuation) && len(strings.TrimSpace(p.text)) == 1
		if len(words) == 0 || alone {
			words = append(words, p)
			continue
		}
		last := &words[len(words)-1]
		last.text, last.tokens = last.text+p.text, last.tokens+p.tokens
	}
	return words
}

// punctuation is that of ASCII.
const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// joinPunctuation joins opening punctuation with the word after it and closing
// punctuation with the word before it.
func joinPunctuation(words []word) []word {
	var joined []word
	pending := word{} // opening punctuation
	for _, w := range words {
		trimmed := strings.TrimSpace(w.text)
		opens := strings.HasPrefix(w.text, " ") && trimmed != "" && strings.Contains(opening, trimmed)
		closes := trimmed != "" && !strings.HasPrefix(w.text, " ") && strings.Contains(closing, trimmed)
		switch {
		case opens:
			pending = word{pending.text + w.text, pending.tokens + w.tokens}
		case closes && len(joined) > 0 && pending.tokens == 0:
			last := &joined[len(joined)-1]
			last.text, last.tokens = last.text+w.text, last.tokens+w.tokens
		default:
			joined = append(joined, word{pending.text + w.text, pending.tokens + w.tokens})
			pending = word{}
		}
	}
	if pending.tokens > 0 {
		joined = append(joined, pending)
	}
	return joined
}

// tighten shortens words beside pauses. Alignment gives the silence between
// sentences to the word before or after it; a word that is more than twice as
// long as the median (at most 0.7 s) is cut on that side.
func tighten(segments []arch.Segment) {
	const longest = 0.7 // seconds
	var durations []float64
	for _, s := range segments {
		for _, w := range s.Words {
			durations = append(durations, w.End-w.Start)
		}
	}
	if len(durations) == 0 {
		return
	}
	slices.Sort(durations)
	limit := 2 * min(longest, durations[len(durations)/2])
	for _, s := range segments {
		for i := range s.Words {
			w := &s.Words[i]
			switch {
			case w.End-w.Start <= limit:
			case endsSentence(w.Text):
				w.End = w.Start + limit
			case i == 0 || endsSentence(s.Words[i-1].Text):
				w.Start = w.End - limit
			}
		}
	}
}

// bound lets a segment begin and end with its words. A word that reaches more
// than half a second past the time that the model gave the segment has got
// silence from the alignment, and is cut there instead.
func bound(s *arch.Segment) {
	const most = 0.5 // seconds
	if len(s.Words) == 0 {
		return
	}
	first, last := &s.Words[0], &s.Words[len(s.Words)-1]
	if first.Start < s.Start-most && s.Start < first.End {
		first.Start = s.Start
	} else {
		s.Start = first.Start
	}
	if last.End > s.End+most && s.End > last.Start {
		last.End = s.End
	} else {
		s.End = last.End
	}
}

func endsSentence(word string) bool {
	last, _ := utf8.DecodeLastRuneInString(word)
	return strings.ContainsRune(".。!！?？", last)
}
