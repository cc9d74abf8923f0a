package arch

import (
	"math"
	"testing"
)

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		config LabelConfig
		want   []string
		alone  bool
	}{
		{LabelConfig{}, []string{"LABEL_0", "LABEL_1"}, false},
		{LabelConfig{NumLabels: 1}, []string{"LABEL_0"}, true},
		{LabelConfig{ID2Label: map[string]LabelName{"0": "cat", "1": "dog", "2": "owl"}, NumLabels: 7}, []string{"cat", "dog", "owl"}, false},
		{LabelConfig{NumLabels: 2, ProblemType: "multi_label_classification"}, []string{"LABEL_0", "LABEL_1"}, true},
		{LabelConfig{ID2Label: map[string]LabelName{"0": "cat", "2": "owl"}}, nil, false},
		{LabelConfig{NumLabels: -1}, nil, false},
		{LabelConfig{NumLabels: 1 << 30}, nil, false},
	} {
		got, err := c.config.Labels()
		if (err != nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c.config, err)
			continue
		}
		if len(got.Names) != len(c.want) || got.Independent != c.alone {
			t.Errorf("%+v: %+v", c.config, got)
			continue
		}
		for i, name := range c.want {
			if got.Names[i] != name {
				t.Errorf("%+v: label %d is %s", c.config, i, got.Names[i])
			}
		}
	}
}

func TestTop(t *testing.T) {
	logits := []float32{0, 2, 1000, 2}
	names := []string{"a", "b", "c", "d"}
	top := Labels{Names: names}.Top(logits[:2], 5)
	if len(top) != 2 || top[0].Name != "b" || math.Abs(top[0].Score-1/(1+math.Exp(-2))) > 1e-12 || math.Abs(top[0].Score+top[1].Score-1) > 1e-12 {
		t.Errorf("softmax: %v", top)
	}
	top = Labels{Names: names}.Top(logits, 2)
	if len(top) != 2 || top[0] != (Label{2, "c", 1}) || top[1] != (Label{1, "b", 0}) {
		t.Errorf("large logits: %v", top)
	}
	top = Labels{Names: names, Independent: true}.Top(logits, 3)
	if top[0].Score != 1 || top[1].Index != 1 || top[2].Index != 3 || math.Abs(top[1].Score-1/(1+math.Exp(-2))) > 1e-12 {
		t.Errorf("independent: %v", top)
	}
	if got := (Labels{}).Top(nil, 3); len(got) != 0 {
		t.Errorf("no labels: %v", got)
	}
}
