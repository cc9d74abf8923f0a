package tokenizer

import (
	"strings"
	"testing"
)

// TestGrowth refuses normalizers that multiply a text, one after the other.
func TestGrowth(t *testing.T) {
	file := func(n int) string {
		one := `{"type":"Replace","pattern":{"String":"l"},"content":"` + strings.Repeat("l", 20) + `"}`
		return `{"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"},"normalizer":{"type":"Sequence","normalizers":[` +
			strings.Repeat(one+",", n-1) + one + `]}}`
	}
	if _, err := Load([]byte(file(2))); err != nil {
		t.Error(err)
	}
	if _, err := Load([]byte(file(3))); err == nil || !strings.Contains(err.Error(), "times longer") {
		t.Errorf("three of them: %v", err)
	}
}
