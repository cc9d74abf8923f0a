// Command emily runs Hugging Face checkpoints as they are.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"unicode"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
	"go.uber.org/automaxprocs/maxprocs"

	_ "emily/arch/bert"
	_ "emily/arch/qwen3"
	_ "emily/arch/vit"
	_ "emily/arch/whisper"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // something went wrong; one line on stderr says what
	exitUsage       = 2   // the command line was not understood
	exitInterrupted = 130 // Ctrl-C; what was produced before is kept
)

// version is set by the release build.
var version = ""

func main() { os.Exit(start()) }

// start runs the process's command line until it ends or is interrupted.
func start() int {
	// A reader that goes away (| head) is an error of the write, not a signal.
	signal.Ignore(syscall.SIGPIPE)
	_, _ = maxprocs.Set(maxprocs.RoundQuotaFunc(threadsOf)) // where a quota cannot be read, Go's number stays
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args, stdio{os.Stdin, os.Stdout, os.Stderr})
}

// threadsOf returns the number of threads for a container's quota of processors. Go's is two at least, which wait half of the time
// where the quota is one; one thread is faster then (docs/cpu.md).
func threadsOf(quota float64) int { return min(int(math.Ceil(quota)), runtime.GOMAXPROCS(0)) }

// stdio is what a command reads and writes: results on out, everything else on err.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, std stdio) int {
	out := &checkedWriter{w: std.out}
	app := newApp(stdio{std.in, out, std.err})
	err := app.RunContext(ctx, permute(app, args))
	if err == nil {
		err = out.err
	}
	switch {
	case err == nil:
		return exitOK
	case out.err != nil && errors.Is(out.err, syscall.ENOSPC):
		fmt.Fprintln(std.err, "emily: standard output could not be written: its disk is full")
		return exitFailed
	case out.err != nil:
		fmt.Fprintln(std.err, "emily: standard output was closed before everything was written")
		return exitFailed
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	fmt.Fprintln(std.err, "emily: "+oneLine(err.Error()))
	var u *usageError
	if errors.As(err, &u) {
		return exitUsage
	}
	return exitFailed
}

func newApp(std stdio) *cli.App {
	app := &cli.App{
		Name:                      "emily",
		Usage:                     "run Hugging Face models as they are: text, speech, images",
		Version:                   versionString(),
		Reader:                    std.in,
		Writer:                    std.out,
		ErrWriter:                 std.err,
		Suggest:                   true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		EnableBashCompletion:      true,
		ExitErrHandler:            func(*cli.Context, error) {}, // run prints it
		OnUsageError:              onUsageError,
		Action:                    noCommand,
		Commands: []*cli.Command{
			newPull(std), newModels(std), newGenerate(std), newChat(std), newTranscribe(std), newClassify(std), newAnswer(std), newEmbed(std), newTokenize(std),
			newInfo(std), newVerify(std), newBench(std), newBenchLane(std), newDoctor(std), newCompletion(std),
		},
		BashComplete: completeCommands,
	}
	for _, c := range app.Commands {
		c.OnUsageError, c.BashComplete, c.HideHelpCommand = onUsageError, completeFlags, true
	}
	return app
}

// noCommand runs when no command was named.
func noCommand(c *cli.Context) error {
	name := c.Args().First()
	if name == "" {
		return cli.ShowAppHelp(c)
	}
	var names []string
	for _, k := range c.App.VisibleCommands() {
		names = append(names, k.Name)
	}
	return usagef("there is no command %q; %s", name, suggest(name, names, "emily --help lists the commands"))
}

// onUsageError explains a flag that was not understood.
func onUsageError(c *cli.Context, err error, _ bool) error {
	help := "see emily " + c.Command.Name + " --help"
	message := strings.ReplaceAll(err.Error(), "for flag -", "for --")
	name, unknown := strings.CutPrefix(message, "flag provided but not defined: -")
	if !unknown {
		return usagef("%s; %s", message, help)
	}
	var names []string
	for _, f := range c.Command.Flags {
		names = append(names, "--"+f.Names()[0])
	}
	name = "--" + strings.TrimLeft(name, "-")
	return usagef("there is no flag %s; %s; %s", name, suggest(name, names, "it may be misspelt"), help)
}

// suggest says which name was probably meant.
func suggest(name string, names []string, otherwise string) string {
	best, score := "", 0.0
	for _, n := range names {
		if s := smetrics.JaroWinkler(name, n, 0.7, 4); s > score {
			best, score = n, s
		}
	}
	if score < 0.8 {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s?", best)
}

// usageError is a command line that was not understood: exit code 2.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// checkedWriter remembers that the reader went away.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (w *checkedWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}

// oneLine keeps a text on one line and what steers a terminal out of it, as a
// stranger's model may have in its names.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, "\n", "; ")), " ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// versionString is the release's version, or the commit it was built from.
func versionString() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "development"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "development " + s.Value[:12]
		}
	}
	return "development"
}
