package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"emily/arch"
	"emily/vision"
)

func newClassify(std stdio) *cli.Command {
	flags := []cli.Flag{
		modelFlag(),
		&cli.StringFlag{Name: "text", Usage: "classify this text, with a model for texts"},
		&cli.IntFlag{Name: "top-k", Aliases: []string{"k"}, Usage: "labels to print", Value: 5},
		&cli.BoolFlag{Name: "json", Usage: "print one JSON object a line"},
	}
	return &cli.Command{
		Name:      "classify",
		Usage:     "label images, or a text",
		ArgsUsage: "IMAGE | FOLDER ...  (- reads an image from standard input)",
		Description: "Reads PNG, JPEG, WebP and GIF. Of a folder, all images in it are taken.\n\n" +
			"Example: emily classify --model google/vit-base-patch16-224 cat.jpg",
		Flags:  append(flags, computeFlags()...),
		Action: func(c *cli.Context) error { return runClassify(c.Context, c, std) },
	}
}

// labelled is the JSON of one result.
type labelled struct {
	File   string       `json:"file,omitempty"`
	Labels []arch.Label `json:"labels"`
}

func runClassify(ctx context.Context, c *cli.Context, std stdio) error {
	switch {
	case c.IsSet("text") == (c.Args().Len() > 0):
		return usagef("name images or folders, or give a text with --text")
	case c.Int("top-k") < 1:
		return usagef("--top-k must be 1 or more, got %d", c.Int("top-k"))
	}
	var files []string
	if !c.IsSet("text") {
		var err error
		if files, err = imageFiles(c.Args().Slice()); err != nil {
			return err
		}
	}
	s, err := openModel(ctx, c, std, arch.Classify)
	if err != nil {
		return err
	}
	defer s.close()
	name := s.Folder.Name()
	switch m := s.Model.(type) {
	case arch.TextClassifier:
		if !c.IsSet("text") {
			return fmt.Errorf("%s classifies texts: give one with --text", name)
		}
		return classifyText(ctx, c, std, s, m)
	case arch.TokenClassifier:
		if !c.IsSet("text") {
			return fmt.Errorf("%s labels the words of texts: give one with --text", name)
		}
		return labelTokens(ctx, c, std, s, m)
	case arch.ImageClassifier:
		if c.IsSet("text") {
			return fmt.Errorf("%s classifies images: name image files instead of --text", name)
		}
		processor, err := readProcessor(s, m)
		if err != nil {
			return err
		}
		return classifyImages(ctx, c, std, m, processor, files)
	}
	return fmt.Errorf("%s is a %s, which does not classify", name, s.Class.Name)
}

// readProcessor reads preprocessor_config.json and compares it with the model.
func readProcessor(s *session, m arch.ImageClassifier) (*vision.Processor, error) {
	config, err := s.Folder.ReadFile("preprocessor_config.json")
	if err != nil {
		return nil, err
	}
	p, err := vision.LoadProcessor(config)
	if err != nil {
		return nil, fmt.Errorf("%s/preprocessor_config.json: %w", s.Folder.Name(), err)
	}
	ph, pw := p.Size()
	if h, w := m.ImageSize(); h != ph || w != pw {
		return nil, fmt.Errorf("%s: preprocessor_config.json makes images of %d x %d, the model reads %d x %d", s.Folder.Name(), pw, ph, w, h)
	}
	return p, nil
}

func classifyText(ctx context.Context, c *cli.Context, std stdio, s *session, m arch.TextClassifier) error {
	text := c.String("text")
	if strings.TrimSpace(text) == "" {
		return errors.New("the text is empty")
	}
	tok, err := arch.ReadTokenizer(s.Folder)
	if err != nil {
		return err
	}
	e := tok.Encode(text, true)
	logits, err := m.Classify(ctx, []arch.Tokens{{IDs: e.IDs, TypeIDs: e.TypeIDs}})
	if err != nil {
		return err
	}
	return printLabels(c, std, "", false, m.Labels().Top(logits[0], c.Int("top-k")))
}

// labelledToken is the JSON of one token of a text.
type labelledToken struct {
	Token string  `json:"token"`
	Start int     `json:"start"` // code points
	End   int     `json:"end"`
	Label string  `json:"label"`
	Score float64 `json:"score"`
}

// labelTokens prints the best label of each token, as for named entities.
func labelTokens(ctx context.Context, c *cli.Context, std stdio, s *session, m arch.TokenClassifier) error {
	text := c.String("text")
	if strings.TrimSpace(text) == "" {
		return errors.New("the text is empty")
	}
	tok, err := arch.ReadTokenizer(s.Folder)
	if err != nil {
		return err
	}
	e := tok.Encode(text, true)
	logits, err := m.ClassifyTokens(ctx, []arch.Tokens{{IDs: e.IDs, TypeIDs: e.TypeIDs}})
	if err != nil {
		return err
	}
	labels, runes := m.Labels(), []rune(text)
	n := len(labels.Names)
	for i := range e.IDs {
		if e.Special[i] {
			continue
		}
		best, at := labels.Top(logits[0][i*n:(i+1)*n], 1)[0], e.Offsets[i]
		t := labelledToken{string(runes[at.Start:at.End]), at.Start, at.End, best.Name, best.Score}
		if c.Bool("json") {
			err = printJSON(std.out, t)
		} else {
			_, err = fmt.Fprintf(std.out, "%-16s %5.1f %%  %s\n", t.Token, 100*t.Score, oneLine(t.Label))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// imageBatch is the number of images that are decoded and run together.
const imageBatch = 8

// classifyImages goes through the files in batches, so that memory stays flat.
// A file that cannot be read is told on stderr and the others go on.
func classifyImages(ctx context.Context, c *cli.Context, std stdio, m arch.ImageClassifier, p *vision.Processor, files []string) error {
	failed := 0
	for batch := range slices.Chunk(files, imageBatch) {
		var names []string
		var pixels [][]float32
		for _, file := range batch {
			x, err := readPixels(std, p, file)
			switch {
			case err != nil && len(files) == 1:
				return err
			case err != nil:
				failed++
				fmt.Fprintln(std.err, "emily: "+oneLine(err.Error()))
			default:
				names, pixels = append(names, file), append(pixels, x)
			}
		}
		logits, err := m.Classify(ctx, pixels)
		if err != nil {
			return err
		}
		for i, row := range logits {
			if err := printLabels(c, std, names[i], len(files) > 1, m.Labels().Top(row, c.Int("top-k"))); err != nil {
				return err
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d images could not be read", failed, len(files))
	}
	return nil
}

func readPixels(std stdio, p *vision.Processor, file string) ([]float32, error) {
	var r io.Reader = std.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	image, err := vision.Decode(r, vision.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	h, w := p.Size()
	x := make([]float32, 3*h*w)
	return x, p.Pixels(x, image)
}

// imageFiles replaces folders by the images in them.
func imageFiles(args []string) ([]string, error) {
	var files []string
	for _, a := range args {
		info, err := os.Stat(a)
		if a == "-" || (err == nil && !info.IsDir()) {
			files = append(files, a)
			continue
		}
		if err != nil {
			return nil, err
		}
		before := len(files)
		err = filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
			ext := strings.ToLower(filepath.Ext(path))
			if err == nil && d.Type().IsRegular() && slices.Contains([]string{".png", ".jpg", ".jpeg", ".webp", ".gif"}, ext) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s holds no images (.png, .jpg, .jpeg, .webp, .gif)", a)
		}
	}
	return files, nil
}

func printLabels(c *cli.Context, std stdio, file string, named bool, labels []arch.Label) error {
	if c.Bool("json") {
		return printJSON(std.out, labelled{file, labels})
	}
	indent := ""
	if named {
		fmt.Fprintln(std.out, file)
		indent = "  "
	}
	for _, l := range labels {
		if _, err := fmt.Fprintf(std.out, "%s%5.1f %%  %s\n", indent, 100*l.Score, oneLine(l.Name)); err != nil {
			return err
		}
	}
	return nil
}
