package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"emily/arch"
	"emily/audio"
)

func newTranscribe(std stdio) *cli.Command {
	flags := []cli.Flag{
		modelFlag(),
		&cli.StringFlag{Name: "format", Usage: "text, srt, vtt, tsv or json", Value: "text"},
		&cli.BoolFlag{Name: "json", Usage: "short for --format json"},
		&cli.StringFlag{Name: "language", Usage: "the language spoken, such as en (default: detected)"},
		&cli.StringFlag{Name: "task", Usage: "transcribe, or translate into English", Value: "transcribe"},
		&cli.BoolFlag{Name: "words", Usage: "find the time of each word (shown by json)"},
		&cli.StringFlag{Name: "prompt", Usage: "a text that hints at names and spelling"},
		&cli.BoolFlag{Name: "continue-text", Usage: "let each window of 30 s see the text before it"},
		&cli.BoolFlag{Name: "no-fallback", Usage: "never decode a doubtful window again"},
		&cli.Uint64Flag{Name: "seed", Usage: "start of the random numbers of the fallback", DefaultText: "0"},
	}
	return &cli.Command{
		Name:      "transcribe",
		Usage:     "speech to text",
		ArgsUsage: "FILE  (- reads standard input)",
		Description: "Reads WAV, FLAC, MP3 and Ogg Opus at any rate. Segments stream as they become certain.\n" +
			"A file is read twice, first for its loudest moment; a pipe takes the loudest so far.\n\n" +
			"Example: emily transcribe --model openai/whisper-tiny.en --format srt speech.wav",
		Flags:  append(flags, computeFlags()...),
		Action: func(c *cli.Context) error { return runTranscribe(c.Context, c, std) },
	}
}

func runTranscribe(ctx context.Context, c *cli.Context, std stdio) error {
	if c.Args().Len() != 1 {
		return usagef("transcribe takes one sound file, or - for standard input; got %d", c.Args().Len())
	}
	out, err := transcriptWriter(c)
	if err != nil {
		return err
	}
	if task := c.String("task"); task != "transcribe" && task != "translate" {
		return usagef("--task: %q is not transcribe or translate", task)
	}
	opt := arch.TranscribeOptions{
		Language: c.String("language"), Translate: c.String("task") == "translate", Words: c.Bool("words"),
		Prompt: c.String("prompt"), ContinueText: c.Bool("continue-text"), Seed: c.Uint64("seed"),
	}
	if !c.Bool("no-fallback") {
		opt.Fallback = arch.DefaultFallback()
	}
	path := c.Args().First()
	source, err := openSource(std, path)
	if err != nil {
		return err
	}
	defer source.Close()
	s, err := openModel(ctx, c, std, arch.Transcribe)
	if err != nil {
		return err
	}
	defer s.close()
	model := s.Model.(arch.Transcriber)
	if err := source.measure(model, &opt); err != nil {
		return err
	}
	sound, err := source.sound()
	if err != nil {
		return err
	}
	bar := newSecondsBar(std, sound)
	got, err := model.Transcribe(ctx, sound, opt, func(segment arch.Segment) bool {
		bar.at(segment.End)
		return out.segment(std.out, segment) == nil
	})
	bar.done()
	if err := errors.Join(out.end(std.out, got), err); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if got.Text == "" {
		fmt.Fprintln(std.err, "emily: no speech was found")
	}
	return nil
}

// soundSource is a sound file, or standard input, which can be read once.
type soundSource struct {
	name string
	io.Reader
	file *os.File // nil for standard input
}

func openSource(std stdio, path string) (*soundSource, error) {
	if path == "-" {
		return &soundSource{name: "standard input", Reader: std.in}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &soundSource{path, f, f}, nil
}

// Close closes a file.
func (s *soundSource) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

func (s *soundSource) sound() (*audio.Reader, error) {
	r, err := audio.Open(s.Reader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return r, nil
}

// measure makes the first pass over a file: its loudest value, and whether
// there is any sound at all.
func (s *soundSource) measure(model arch.Transcriber, opt *arch.TranscribeOptions) error {
	if s.file == nil {
		return nil
	}
	r, err := s.sound()
	if err != nil {
		return err
	}
	featurizer, err := model.Featurizer()
	if err != nil {
		return err
	}
	level := &loudness{r: r}
	peak, _, err := featurizer.Peak(level)
	switch {
	case err != nil && !errors.Is(err, audio.ErrIncomplete):
		return fmt.Errorf("%s: %w", s.name, err)
	case level.samples == 0:
		return fmt.Errorf("%s holds no sound", s.name)
	case level.loudest == 0:
		return fmt.Errorf("%s is silent: every sample is zero", s.name)
	}
	opt.Peak = &peak
	if _, err := s.file.Seek(0, io.SeekStart); err != nil { // a named pipe
		return fmt.Errorf("%s cannot be read twice; pipe it into emily transcribe -", s.name)
	}
	return nil
}

// loudness passes samples through and remembers the largest.
type loudness struct {
	r       audio.SampleReader
	samples int64
	loudest float32
}

func (l *loudness) Read(dst []float32) (int, error) {
	n, err := l.r.Read(dst)
	l.samples += int64(n)
	for _, v := range dst[:n] {
		l.loudest = max(l.loudest, v, -v)
	}
	return n, err
}

// secondsBar shows how much of the sound is done, where the text itself does
// not run over the same terminal.
type secondsBar struct {
	w     io.Writer // nil for none
	total float64
}

func newSecondsBar(std stdio, r *audio.Reader) *secondsBar {
	total, known := r.Seconds()
	if !known || !isTerminal(std.err) || isTerminal(std.out) {
		return &secondsBar{}
	}
	return &secondsBar{std.err, total}
}

func (b *secondsBar) at(seconds float64) {
	if b.w == nil {
		return
	}
	const width = 30
	full := int(width * min(1, seconds/b.total))
	fmt.Fprintf(b.w, "\r[%s%s] %.0f of %.0f s", strings.Repeat("=", full), strings.Repeat(" ", width-full), seconds, b.total)
}

func (b *secondsBar) done() {
	if b.w != nil {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
