package arch

import "emily/loader"

// Fact is a line about a model for people.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Describer is a model that tells its sizes.
type Describer interface{ Facts() []Fact }

// Describe binds a model to its checkpoint without computing anything and
// returns its facts and the names of the tensors that it does not use. The
// error is the one that loading the model would give.
func Describe(class Class, folder *loader.Folder, config *loader.Config) (facts []Fact, unused []string, err error) {
	checkpoint, err := folder.Open()
	if err != nil {
		return nil, nil, err
	}
	defer checkpoint.Close()
	model, err := class.New(Source{Folder: folder, Config: config, Checkpoint: checkpoint})
	if err != nil {
		return nil, nil, err
	}
	defer model.Close()
	for _, t := range loader.Unused(checkpoint, model.Weights()...) {
		unused = append(unused, t.Name)
	}
	if d, ok := model.(Describer); ok {
		facts = d.Facts()
	}
	return facts, unused, nil
}
