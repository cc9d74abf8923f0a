// Command terminal runs command lines and draws what they print as an SVG, the
// picture of the README:
//
//	go run ./tools/terminal > docs/terminal.svg
package main

import (
	"context"
	"fmt"
	"html"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// lines are what a newcomer types.
var lines = []string{
	`emily generate "Once upon a time"`,
	`emily classify demo/samples/digit-3.png -k 1`,
	`emily transcribe demo/samples/turn-left.wav`,
	`emily answer -q "Who designed the town hall?" -f demo/samples/town.txt`,
}

// The picture, in characters and pixels.
const (
	columns  = 100
	advance  = 8.4 // width of a character of 14 px in the usual fixed fonts
	leading  = 20
	margin   = 16
	template = `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">
<rect width="100%%" height="100%%" rx="8" fill="#1b1f24"/>
`
)

func main() {
	if err := draw(os.Stdout); err != nil {
		log.Fatal("terminal: ", err)
	}
}

// row is one line of the picture.
type row struct{ text, colour string }

func draw(w io.Writer) error {
	dir, err := os.MkdirTemp("", "terminal")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "emily"), "./cmd/emily").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	var rows []row
	for _, line := range lines {
		rows = append(rows, row{"$ " + line, "#8ddb8c"})
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		var notes strings.Builder
		cmd.Stderr = &notes
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, notes.String())
		}
		rows = append(rows, wrapped(notes.String(), "#768390")...)
		rows = append(rows, wrapped(string(out), "#e6edf3")...)
	}
	fmt.Fprintf(w, template, columns*advance+2*margin, len(rows)*leading+2*margin)
	for i, r := range rows {
		fmt.Fprintf(w, `<text x="%d" y="%d" fill="%s" xml:space="preserve">%s</text>`+"\n", margin, margin+14+i*leading, r.colour, html.EscapeString(r.text))
	}
	_, err = fmt.Fprintln(w, "</svg>")
	return err
}

// wrapped cuts text into lines of at most columns characters, at blanks.
func wrapped(text, colour string) []row {
	var rows []row
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		for len([]rune(line)) > columns {
			cut := strings.LastIndexByte(string([]rune(line)[:columns]), ' ')
			if cut <= 0 {
				break
			}
			rows = append(rows, row{line[:cut], colour})
			line = line[cut+1:]
		}
		rows = append(rows, row{line, colour})
	}
	return rows
}
