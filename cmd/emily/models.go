package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"emily/loader/hub"
)

func newModels(std stdio) *cli.Command {
	return &cli.Command{
		Name:      "models",
		Usage:     "list the models in the cache, or remove some",
		ArgsUsage: "[rm MODEL...]",
		Description: "Lists what the Hugging Face cache holds, whichever program downloaded it, with sizes and last use.\n\n" +
			"Example: emily models\n         emily models rm Qwen/Qwen3-0.6B --yes",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print a JSON array"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "remove without asking"},
		},
		Action: func(c *cli.Context) error { return runModels(c.Context, c, std) },
	}
}

func runModels(ctx context.Context, c *cli.Context, std stdio) error {
	cache := hub.CacheOf(os.Getenv)
	switch args := c.Args().Slice(); {
	case len(args) == 0:
		return listModels(c, std, cache)
	case args[0] != "rm":
		return usagef("models takes no argument, or rm and models to remove, not %q", args[0])
	case len(args) == 1:
		return usagef("models rm needs the name of a model; emily models lists them")
	default:
		return removeModels(ctx, c, std, cache, args[1:])
	}
}

// modelEntry is the JSON of a model in the cache.
type modelEntry struct {
	Name      string    `json:"name"`
	Bytes     int64     `json:"bytes"`
	Partial   int64     `json:"partial_bytes,omitempty"` // of downloads that have not ended
	Used      time.Time `json:"used"`
	Revisions []string  `json:"revisions"`
	Path      string    `json:"path"`
}

func listModels(c *cli.Context, std stdio, cache hub.Cache) error {
	models, err := cache.Models()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		entries := []modelEntry{}
		for _, m := range models {
			entries = append(entries, modelEntry{m.Name, m.Bytes, m.Partial, m.Used, m.Revisions, cache.Repo(m.Name)})
		}
		return printJSON(std.out, entries)
	}
	if len(models) == 0 {
		fmt.Fprintf(std.err, "%s holds no models; emily pull downloads one\n", cache.Dir)
		return nil
	}
	t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	total := int64(0)
	for _, m := range models {
		total += m.Bytes
		state := strings.Join(shortCommits(m.Revisions), ", ")
		if m.Partial > 0 {
			state = strings.TrimPrefix(state+", ", ", ") + "download not finished"
		}
		fmt.Fprintf(t, "%s\t%s\tused %s\t%s\n", m.Name, size(m.Bytes), since(time.Since(m.Used)), state)
	}
	fmt.Fprintf(t, "total\t%s\t\t%s\n", size(total), cache.Dir)
	return t.Flush()
}

// shortCommits cuts commits to the length in which people write them.
func shortCommits(revisions []string) []string {
	short := make([]string, len(revisions))
	for i, r := range revisions {
		short[i] = r
		if hub.IsCommit(r) {
			short[i] = r[:12]
		}
	}
	return short
}

// since prints how long ago something was.
func since(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

func removeModels(ctx context.Context, c *cli.Context, std stdio, cache hub.Cache, names []string) error {
	models, err := cache.Models()
	if err != nil {
		return err
	}
	sizes := make(map[string]int64)
	for _, m := range models {
		sizes[m.Name] = m.Bytes
	}
	for _, name := range names {
		if _, found := sizes[name]; !found {
			return fmt.Errorf("%s is not in the cache (%s); emily models lists what is", name, cache.Dir)
		}
	}
	if !c.Bool("yes") && !readsTerminal(std.in) {
		return usagef("models rm asks on a terminal; add --yes to remove without asking")
	}
	answers := bufio.NewReader(std.in)
	for _, name := range names {
		if !c.Bool("yes") {
			fmt.Fprintf(std.err, "remove %s (%s)? [y/N] ", name, size(sizes[name]))
			if !isYes(answers) {
				continue
			}
		}
		if err := cache.Remove(ctx, name); err != nil {
			return err
		}
		fmt.Fprintf(std.err, "removed %s (%s)\n", name, size(sizes[name]))
	}
	return nil
}

// isYes reads an answer; no answer is no.
func isYes(r *bufio.Reader) bool {
	line, _ := r.ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// readsTerminal reports whether a person answers on r.
func readsTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
