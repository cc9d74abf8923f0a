package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"emily/arch"
)

func newChat(std stdio) *cli.Command {
	flags := []cli.Flag{
		modelFlag(),
		&cli.StringFlag{Name: "system", Usage: "the system message"},
		&cli.StringSliceFlag{Name: "template-arg", Usage: "a `NAME=VALUE` for the chat template, such as enable_thinking=false"},
	}
	return &cli.Command{
		Name:  "chat",
		Usage: "talk with a model in the terminal",
		Description: "Each line is a turn; a line that ends in \\ goes on. Ctrl-C stops an answer, Ctrl-D ends the chat.\n" +
			"Without a terminal each line of standard input is a turn.\n\n" + chatHelp,
		Flags:  append(append(flags, samplingFlags()...), computeFlags()...),
		Action: func(c *cli.Context) error { return runChat(c.Context, c, std) },
	}
}

const chatHelp = `/reset           forget the conversation
/system TEXT     set the system message and start anew
/think on|off    let the model think first, if its template can
/save FILE       write the conversation as JSON
/help            show these lines
/exit            end (also Ctrl-D)`

// chat is one run of the command.
type chat struct {
	*arch.Chat
	std    stdio
	opt    arch.GenerateOptions
	system string
	lines  lineReader
	dim    bool // thinking is dimmed
	failed int  // turns without an answer, where nobody watches
}

func runChat(ctx context.Context, c *cli.Context, std stdio) error {
	if c.Args().Len() > 0 {
		return usagef("chat takes no arguments; type the message after it starts, or use emily generate")
	}
	if err := checkSampling(c); err != nil {
		return err
	}
	s, err := openModel(ctx, c, std, arch.Generate)
	if err != nil {
		return err
	}
	defer s.close()
	text, err := arch.NewText(s.Loaded)
	if err != nil {
		return err
	}
	ch := &chat{std: std, system: c.String("system"), opt: arch.GenerateOptions{MaxTokens: c.Int("max-tokens"), Stop: c.StringSlice("stop")}}
	if ch.opt.Sampling, err = samplingParams(c, text.Defaults); err != nil {
		return err
	}
	if ch.Chat, err = text.NewChat(ch.system); err != nil {
		return fmt.Errorf("%s: %w; use emily generate", s.Folder.Name(), err)
	}
	defer ch.Close()
	if ch.Args, err = templateArgs(c); err != nil {
		return err
	}
	ch.lines, ch.dim = newLineReader(std), colour(std.out)
	// From here Ctrl-C ends the program while it waits and an answer while it streams.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	return ch.loop(context.WithoutCancel(ctx))
}

// loop reads turns until the input ends.
func (c *chat) loop(ctx context.Context) error {
	for {
		line, err := c.lines.read()
		switch {
		case errors.Is(err, io.EOF):
			return c.end()
		case err != nil:
			return err
		}
		switch line = strings.TrimSpace(line); {
		case line == "":
		case line[0] == '/':
			if c.command(line) {
				return c.end()
			}
		default:
			if err := c.turn(ctx, line); err != nil {
				return err
			}
		}
	}
}

// end is how the chat ends.
func (c *chat) end() error {
	if c.failed > 0 {
		return fmt.Errorf("%d message(s) got no answer", c.failed)
	}
	return nil
}

// turn answers one message. Ctrl-C ends the answer, not the chat.
func (c *chat) turn(ctx context.Context, line string) error {
	answer, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	show := thinking{w: c.std.out, dim: c.dim}
	_, err := c.Say(answer, line, c.opt, show.write)
	show.end()
	fmt.Fprintln(c.std.out)
	if err == nil || answer.Err() != nil {
		return nil
	}
	if !c.lines.interactive() {
		c.failed++
	}
	fmt.Fprintln(c.std.err, "emily: "+oneLine(err.Error()))
	return nil
}

// command runs a line that starts with a slash; true ends the chat.
func (c *chat) command(line string) (end bool) {
	name, arg, _ := strings.Cut(line, " ")
	arg = strings.TrimSpace(arg)
	say := func(format string, args ...any) { fmt.Fprintf(c.std.err, format+"\n", args...) }
	switch name {
	case "/exit", "/quit", "/bye":
		return true
	case "/help":
		say("%s", chatHelp)
	case "/reset":
		c.Reset(c.system)
		say("the conversation is empty")
	case "/system":
		c.system = arg
		c.Reset(arg)
		say("the system message is set")
	case "/think":
		if arg != "on" && arg != "off" {
			say("/think is on or off")
			break
		}
		c.Args["enable_thinking"] = arg == "on"
		say("thinking is %s, if the model's template can tell", arg)
	case "/save":
		if err := c.save(arg); err != nil {
			say("emily: %v", err)
			break
		}
		say("saved %d messages to %s", len(c.Messages), arg)
	default:
		say("there is no %s; /help lists the commands", name)
	}
	return false
}

func (c *chat) save(path string) error {
	if path == "" {
		return errors.New("/save needs a file name")
	}
	text, err := json.MarshalIndent(map[string]any{"messages": append([]arch.Message{}, c.Messages...)}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// lineReader reads turns from a terminal, with history and the usual keys, or
// from any other input.
type lineReader interface {
	read() (string, error)
	interactive() bool
}

func newLineReader(std stdio) lineReader {
	in, ok := std.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || !isTerminal(std.err) {
		return &plainLines{bufio.NewReader(std.in)}
	}
	return &terminalLines{in: in, terminal: term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, std.err}, "> ")}
}

type plainLines struct{ r *bufio.Reader }

func (p *plainLines) read() (string, error) {
	line, err := p.r.ReadString('\n')
	if line != "" {
		err = nil
	}
	return joinContinued(line, func() (string, error) { return p.r.ReadString('\n') }), err
}

func (p *plainLines) interactive() bool { return false }

// terminalLines is raw only while it reads, so that Ctrl-C stops an answer.
type terminalLines struct {
	in       *os.File
	terminal *term.Terminal
}

func (t *terminalLines) read() (string, error) {
	old, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return "", err
	}
	defer term.Restore(int(t.in.Fd()), old)
	if w, h, err := term.GetSize(int(t.in.Fd())); err == nil && w > 0 && h > 0 {
		t.terminal.SetSize(w, h)
	}
	line, err := t.terminal.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	return joinContinued(line, t.terminal.ReadLine), err
}

func (t *terminalLines) interactive() bool { return true }

// joinContinued appends the next lines while a line ends in a backslash.
func joinContinued(line string, next func() (string, error)) string {
	for {
		head, continued := strings.CutSuffix(strings.TrimRight(line, "\r\n"), `\`)
		if !continued {
			return line
		}
		more, err := next()
		line = head + "\n" + more
		if err != nil {
			return line
		}
	}
}
