// Command emily runs Hugging Face checkpoints as they are.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
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

func main() {
	// A reader that goes away (| head) is an error of the write, not a signal.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

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
	return &cli.App{
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
		CommandNotFound:           nil,
		Action:                    noCommand,
		Commands: []*cli.Command{
			newGenerate(std), newChat(std), newTokenize(std), newInfo(std), newVerify(std), newDoctor(std), newCompletion(std),
		},
	}
}

// noCommand runs when no command was named.
func noCommand(c *cli.Context) error {
	name := c.Args().First()
	if name == "" {
		return cli.ShowAppHelp(c)
	}
	hint := "emily --help lists the commands"
	if s := closestCommand(c.App.Commands, name); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	return usagef("there is no command %q; %s", name, hint)
}

func closestCommand(commands []*cli.Command, name string) string {
	best, score := "", 0
	for _, c := range commands {
		n := 0 // common letters at the start
		for n < len(name) && n < len(c.Name) && name[n] == c.Name[n] {
			n++
		}
		if n > score {
			best, score = c.Name, n
		}
	}
	if score < 2 {
		return ""
	}
	return best
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	command := "emily"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != "emily" {
		command += " " + c.Command.Name
	}
	return usagef("%s; see %s --help", strings.ReplaceAll(err.Error(), "flag provided but not defined: -", "unknown flag --"), command)
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

// oneLine keeps an error message on one line.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "\n", "; ")), " ")
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
