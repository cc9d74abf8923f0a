package main

import (
	"strings"
	"testing"
)

const samples = "../../demo/samples/"

// TestBuiltIn runs the commands without a model, as a newcomer does, and
// compares what they print word for word.
func TestBuiltIn(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"generate", "Once upon a time"}, `, a helpful pig named Percy lived in an old castle. One day, there was a big race in an old castle. Percy wanted to win the first prize, a shiny stone. "Ready, steady, go!" called the snail. They all ran as fast as they could. Percy knew that she might lose, but she did what was right. Percy and Clara crossed the line together, hand in hand. And everybody learned that you should never give up. Percy went home tired but happy. She slept very well that night.
`},
		{[]string{"classify", samples + "digit-3.png", "-k", "1"}, " 95.4 %  3\n"},
		{[]string{"classify", samples + "digit-7.png", "-k", "1"}, " 95.5 %  7\n"},
		{[]string{"classify", samples + "house.png", "-k", "1"}, " 94.9 %  house\n"},
		{[]string{"classify", samples + "umbrella.png", "-k", "1"}, " 95.2 %  umbrella\n"},
		{[]string{"transcribe", samples + "turn-left.wav"}, "turn left and go twenty five meters\n"},
		{[]string{"transcribe", samples + "phone-number.wav"}, "my phone number is five five five zero one seven three\n"},
		{[]string{"answer", "-q", "Who designed the town hall?", "-f", samples + "town.txt"}, "0.982  Helen Foster  [114:126]\n"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			out, stderr, code := emily(t, "", tt.args...)
			if code != exitOK || out != tt.want {
				t.Errorf("exit code %d, got\n%s\nwant\n%s", code, out, tt.want)
			}
			if !strings.Contains(stderr, "built-in model") || !strings.Contains(stderr, "try --model ") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("stderr: %q", stderr)
			}
		})
	}
	fails(t, exitUsage, []string{"--model"}, "chat")
	fails(t, exitUsage, []string{"--model"}, "embed", "x")
}
