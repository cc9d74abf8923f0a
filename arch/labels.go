package arch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// LabelConfig holds the fields of config.json that name the classes of a classifier.
type LabelConfig struct {
	ID2Label    map[string]LabelName `json:"id2label"`
	NumLabels   int                  `json:"num_labels"`
	ProblemType string               `json:"problem_type"`
}

// LabelName is the name of a class, for which some files have a number.
type LabelName string

// UnmarshalJSON takes a string, or the text of a number.
func (n *LabelName) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil {
		*n = LabelName(s)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(text, &number); err != nil {
		return fmt.Errorf("id2label: %s is no name", text)
	}
	*n = LabelName(number)
	return nil
}

// Labels are the names of a classifier's logits.
type Labels struct {
	Names []string
	// Independent labels do not exclude each other: each has a probability of its own.
	Independent bool
}

// Labels returns the names, LABEL_0 and so on where the file gives none; two
// classes are what transformers assumes.
func (c LabelConfig) Labels() (Labels, error) {
	n := len(c.ID2Label)
	if n == 0 {
		n = c.NumLabels
	}
	if n == 0 {
		n = 2
	}
	if n < 0 || n > 1<<20 {
		return Labels{}, fmt.Errorf("num_labels is %d", n)
	}
	l := Labels{Names: make([]string, n), Independent: n == 1 || c.ProblemType == "multi_label_classification"}
	for i := range l.Names {
		name, ok := c.ID2Label[strconv.Itoa(i)]
		switch {
		case ok:
			l.Names[i] = string(name)
		case len(c.ID2Label) > 0:
			return Labels{}, fmt.Errorf("id2label has %d entries but none for %d", n, i)
		default:
			l.Names[i] = "LABEL_" + strconv.Itoa(i)
		}
	}
	return l, nil
}

// Label is a class with its probability.
type Label struct {
	Index int     `json:"index"`
	Name  string  `json:"label"`
	Score float64 `json:"score"`
}

// Top returns the k most likely labels, the most likely first: softmax of the
// logits, or the logistic function of each where labels are independent.
func (l Labels) Top(logits []float32, k int) []Label {
	list := make([]Label, min(len(logits), len(l.Names)))
	top, sum := slices.Max(append(logits[:len(logits):len(logits)], float32(math.Inf(-1)))), 0.0
	for i := range list {
		x := float64(logits[i])
		if l.Independent {
			list[i] = Label{i, l.Names[i], 1 / (1 + math.Exp(-x))}
			continue
		}
		e := math.Exp(x - float64(top))
		sum += e
		list[i] = Label{i, l.Names[i], e}
	}
	if !l.Independent {
		for i := range list {
			list[i].Score /= sum
		}
	}
	// By logits, since small scores may round to the same.
	slices.SortStableFunc(list, func(a, b Label) int { return cmp.Compare(logits[b.Index], logits[a.Index]) })
	return list[:max(0, min(k, len(list)))]
}
