package loader

import (
	"encoding/json"
	"fmt"
)

// Config is the config.json of a model: what it is, and the raw text for the
// architecture to decode.
type Config struct {
	// Architectures are the classes of the transformers library that the
	// checkpoint was saved from, such as "Qwen3ForCausalLM".
	Architectures []string
	// ModelType is the family, such as "qwen3".
	ModelType string
	// Raw is the whole file, a valid JSON object.
	Raw json.RawMessage

	place string
}

// Config reads config.json. Its errors name the file and what is wrong with it.
func (f *Folder) Config() (*Config, error) {
	const name = "config.json"
	text, err := f.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var fields *struct {
		Architectures []string `json:"architectures"`
		ModelType     string   `json:"model_type"`
	}
	place := f.place(name)
	if err := decodeJSON(place, text, &fields); err != nil {
		return nil, err
	}
	if fields == nil { // the file is the word null
		return nil, fmt.Errorf("%s: expected an object, found null", place)
	}
	return &Config{fields.Architectures, fields.ModelType, text, place}, nil
}

// Decode decodes config.json into v, usually a pointer to a struct with the
// fields that an architecture needs. Fields that v lacks are ignored; a field
// of the wrong type is an error that names it.
func (c *Config) Decode(v any) error {
	return decodeJSON(c.place, c.Raw, v)
}
