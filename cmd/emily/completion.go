package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
)

func newCompletion(std stdio) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes commands and flags",
		ArgsUsage: "bash | zsh | fish",
		Description: "Example: emily completion bash > ~/.local/share/bash-completion/completions/emily\n" +
			"         emily completion fish > ~/.config/fish/completions/emily.fish",
		Action: func(c *cli.Context) error {
			if c.Args().Len() != 1 {
				return usagef("name one shell: bash, zsh or fish")
			}
			return printCompletion(c, std, c.Args().First())
		},
	}
}

func printCompletion(c *cli.Context, std stdio, shell string) error {
	switch shell {
	case "bash":
		_, err := io.WriteString(std.out, bashCompletion)
		return err
	case "zsh":
		_, err := io.WriteString(std.out, zshCompletion)
		return err
	case "fish":
		script, err := c.App.ToFishCompletion()
		if err != nil {
			return err
		}
		_, err = io.WriteString(std.out, script)
		return err
	}
	return usagef("there is no completion for %q: choose bash, zsh or fish", shell)
}

// completeCommands lists the commands, completeFlags a command's flags; the
// shell keeps those that fit what was typed.
func completeCommands(c *cli.Context) {
	for _, k := range c.App.VisibleCommands() {
		fmt.Fprintln(c.App.Writer, k.Name)
	}
}

func completeFlags(c *cli.Context) {
	for _, f := range c.Command.Flags {
		fmt.Fprintln(c.App.Writer, "--"+f.Names()[0])
	}
}

// The scripts ask emily itself, with the words so far.
var (
	bashCompletion = fmt.Sprintf(`_emily() {
  local current="${COMP_WORDS[COMP_CWORD]}"
  local words=("${COMP_WORDS[@]:0:COMP_CWORD}")
  [[ "$current" == -* ]] && words+=("$current")
  COMPREPLY=($(compgen -W "$("${words[@]}" %[1]s 2>/dev/null)" -- "$current"))
  [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _emily emily
`, "--generate-bash-completion")
	zshCompletion = fmt.Sprintf(`#compdef emily
_emily() {
  local -a found
  local current="${words[CURRENT]}"
  if [[ "$current" == -* ]]; then
    found=("${(@f)$("${(@)words[1,CURRENT]}" %[1]s 2>/dev/null)}")
  else
    found=("${(@f)$("${(@)words[1,CURRENT-1]}" %[1]s 2>/dev/null)}")
  fi
  _describe 'emily' found
  _files
}
compdef _emily emily
`, "--generate-bash-completion")
)
