package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// decoder is one step from token strings to text.
type decoder interface {
	// stage starts a run, which sees one token after the other.
	stage() stage
}

// fusedDecoder is a decoder that can also work on fragments of one long string, without seeing its end.
type fusedDecoder interface {
	fusedStage() stage
}

// stage is a decoder at work. emit passes a string on to the next stage.
type stage interface {
	push(s string, emit func(string))
	flush(emit func(string))
}

const knownDecoders = "BPEDecoder, ByteFallback, ByteLevel, CTC, Fuse, Metaspace, Replace, Sequence, Strip, WordPiece"

// parseDecoders reads a decoder; a Sequence becomes several.
func parseDecoders(raw json.RawMessage, depth int) ([]decoder, error) {
	if isNull(raw) {
		return nil, nil
	}
	f := struct {
		Type          string            `json:"type"`
		Decoders      []json.RawMessage `json:"decoders"`
		Suffix        string            `json:"suffix"`
		Prefix        string            `json:"prefix"`
		Cleanup       bool              `json:"cleanup"`
		PadToken      string            `json:"pad_token"`
		WordDelimiter string            `json:"word_delimiter_token"`
		Content       string            `json:"content"`
		Start         int               `json:"start"`
		Stop          int               `json:"stop"`
	}{}
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	switch f.Type {
	case "Sequence":
		if depth >= maxDepth {
			return nil, fmt.Errorf("decoders are nested more than %d deep", maxDepth)
		}
		var all []decoder
		for _, raw := range f.Decoders {
			ds, err := parseDecoders(raw, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, ds...)
		}
		return all, nil
	case "ByteLevel":
		return []decoder{byteLevelDecoder{}}, nil
	case "BPEDecoder":
		return []decoder{bpeDecoder(f.Suffix)}, nil
	case "WordPiece":
		return []decoder{wordPieceDecoder{f.Prefix, f.Cleanup}}, nil
	case "CTC":
		return []decoder{ctcDecoder{f.PadToken, f.WordDelimiter, f.Cleanup}}, nil
	case "ByteFallback":
		return []decoder{byteFallbackDecoder{}}, nil
	case "Fuse":
		return []decoder{fuse{}}, nil
	case "Metaspace":
		m, err := parseMetaspace(raw)
		if err != nil {
			return nil, fmt.Errorf("decoder Metaspace: %w", err)
		}
		return []decoder{metaspaceDecoder{m}}, nil
	case "Replace":
		r := &replace{}
		if err := json.Unmarshal(raw, r); err != nil {
			return nil, fmt.Errorf("decoder Replace: %w", err)
		}
		return []decoder{replaceDecoder{r}}, nil
	case "Strip":
		if utf8.RuneCountInString(f.Content) != 1 || f.Start < 0 || f.Stop < 0 {
			return nil, errors.New("decoder Strip: content is one character, start and stop are at least 0")
		}
		return []decoder{stripDecoder{f.Content, f.Start, f.Stop}}, nil
	}
	return nil, fmt.Errorf("decoder %q is unknown; known are %s", f.Type, knownDecoders)
}
