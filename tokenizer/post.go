package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// postProcessor finishes an encoding: parts is one part a sequence.
type postProcessor interface {
	process(parts []segment, addSpecial bool) []segment
}

const knownPostProcessors = "BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing"

// parsePostProcessors reads a post-processor; a Sequence becomes several.
func parsePostProcessors(raw json.RawMessage, depth int) ([]postProcessor, error) {
	if isNull(raw) {
		return nil, nil
	}
	var f struct {
		Type           string            `json:"type"`
		Processors     []json.RawMessage `json:"processors"`
		TrimOffsets    *bool             `json:"trim_offsets"`
		AddPrefixSpace *bool             `json:"add_prefix_space"`
		Sep            json.RawMessage   `json:"sep"`
		Cls            json.RawMessage   `json:"cls"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	trim := trimOffsets{f.AddPrefixSpace == nil || *f.AddPrefixSpace}
	wantTrim := f.TrimOffsets == nil || *f.TrimOffsets
	switch f.Type {
	case "Sequence":
		if depth >= maxDepth {
			return nil, fmt.Errorf("post-processors are nested more than %d deep", maxDepth)
		}
		var all []postProcessor
		for _, raw := range f.Processors {
			ps, err := parsePostProcessors(raw, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, ps...)
		}
		return all, nil
	case "ByteLevel":
		if wantTrim {
			return []postProcessor{trim}, nil
		}
		return nil, nil
	case "TemplateProcessing":
		t, err := parseTemplate(raw)
		if err != nil {
			return nil, fmt.Errorf("post_processor TemplateProcessing: %w", err)
		}
		return []postProcessor{t}, nil
	case "BertProcessing", "RobertaProcessing":
		sep, err := parseTokenAndID(f.Sep)
		if err != nil {
			return nil, fmt.Errorf("post_processor %s: sep: %w", f.Type, err)
		}
		cls, err := parseTokenAndID(f.Cls)
		if err != nil {
			return nil, fmt.Errorf("post_processor %s: cls: %w", f.Type, err)
		}
		a, b := templatePiece{seq: 0, keepType: true}, templatePiece{seq: 1, keepType: true}
		start, end := templatePiece{seq: -1, ids: []int32{cls}}, templatePiece{seq: -1, ids: []int32{sep}}
		if f.Type == "BertProcessing" {
			end1 := end
			end1.typeID = 1
			return []postProcessor{&template{[]templatePiece{start, a, end}, []templatePiece{start, a, end, b, end1}}}, nil
		}
		a.keepType, b.keepType = false, false // all types are 0
		t := &template{[]templatePiece{start, a, end}, []templatePiece{start, a, end, end, b, end}}
		if wantTrim {
			return []postProcessor{trim, t}, nil
		}
		return []postProcessor{t}, nil
	}
	return nil, fmt.Errorf("post_processor %q is unknown; known are %s", f.Type, knownPostProcessors)
}

// parseTokenAndID reads ["token", id].
func parseTokenAndID(raw json.RawMessage) (int32, error) {
	var token string
	var id int32
	if err := json.Unmarshal(raw, &[]any{&token, &id}); err != nil {
		return 0, err
	}
	return id, nil
}

// template puts special tokens around and between sequences.
type template struct{ single, pair []templatePiece }

type templatePiece struct {
	seq      int // sequence 0 or 1, -1 for special tokens
	ids      []int32
	typeID   int32
	keepType bool // the types of the sequence stay as they are
}

func (t *template) process(parts []segment, addSpecial bool) []segment {
	pieces := t.single
	if len(parts) > 1 {
		pieces = t.pair
	}
	var out []segment
	for _, p := range pieces {
		switch {
		case p.seq < 0 && addSpecial:
			out = append(out, segment{seq: -1, ids: p.ids, typeID: p.typeID})
		case p.seq >= 0 && p.seq < len(parts):
			s := parts[p.seq]
			if !p.keepType {
				s.typeID = p.typeID
			}
			out = append(out, s)
		}
	}
	return out
}

func parseTemplate(raw json.RawMessage) (*template, error) {
	type ref struct {
		ID     string `json:"id"`
		TypeID int32  `json:"type_id"`
	}
	type piece struct{ Sequence, SpecialToken *ref }
	var f struct {
		Single  []piece `json:"single"`
		Pair    []piece `json:"pair"`
		Special map[string]struct {
			IDs []int32 `json:"ids"`
		} `json:"special_tokens"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, err
	}
	convert := func(pieces []piece, sequences int) ([]templatePiece, error) {
		var out []templatePiece
		for _, p := range pieces {
			switch {
			case p.Sequence != nil && p.Sequence.ID == "A":
				out = append(out, templatePiece{seq: 0, typeID: p.Sequence.TypeID})
			case p.Sequence != nil && p.Sequence.ID == "B" && sequences == 2:
				out = append(out, templatePiece{seq: 1, typeID: p.Sequence.TypeID})
			case p.SpecialToken != nil:
				s, ok := f.Special[p.SpecialToken.ID]
				if !ok {
					return nil, fmt.Errorf("special token %q is not in special_tokens", p.SpecialToken.ID)
				}
				out = append(out, templatePiece{seq: -1, ids: s.IDs, typeID: p.SpecialToken.TypeID})
			default:
				return nil, errors.New(`a piece is neither sequence "A", sequence "B" of a pair nor a special token`)
			}
		}
		return out, nil
	}
	single, err := convert(f.Single, 1)
	if err != nil {
		return nil, fmt.Errorf("single: %w", err)
	}
	pair, err := convert(f.Pair, 2)
	if err != nil {
		return nil, fmt.Errorf("pair: %w", err)
	}
	return &template{single, pair}, nil
}

// trimOffsets takes the white space at the ends of tokens out of their offsets. A single space at the start of the text
// stays if it may be one that the pre-tokenizer added.
type trimOffsets struct{ addPrefixSpace bool }

func (t trimOffsets) process(parts []segment, _ bool) []segment {
	for _, p := range parts {
		for i := range p.offsets {
			o := &p.offsets[i]
			before, after := spacesAround(p.tokens(i))
			if before == 1 && t.addPrefixSpace && (i == 0 || o.Start == 0) {
				before = 0
			}
			o.Start = min(o.Start+before, o.End)
			if after > 0 && o.End >= after {
				o.End = max(o.End-after, o.Start)
			}
		}
	}
	return parts
}

// spacesAround counts white space, byte-level spaces included, at the start and at the end of a token.
func spacesAround(token []byte) (before, after int) {
	space := func(r rune) bool { return r == byteToChar[' '] || isSpace(r) }
	for i := 0; i < len(token); before++ {
		r, n := utf8.DecodeRune(token[i:])
		if !space(r) {
			break
		}
		i += n
	}
	for i := len(token); i > 0; after++ {
		r, n := utf8.DecodeLastRune(token[:i])
		if !space(r) {
			break
		}
		i -= n
	}
	return before, after
}
