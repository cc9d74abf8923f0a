package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// permute moves flags before arguments, since urfave/cli stops at the first
// argument and people write `emily generate "a prompt" --model M`. Everything
// after -- stays an argument.
func permute(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	if args[1] == "help" { // emily help COMMAND
		return append(append([]string{args[0]}, args[2:min(3, len(args))]...), "--help")
	}
	at := 1
	for at < len(args) && strings.HasPrefix(args[at], "-") { // the app's own flags
		at++
	}
	if at == len(args) {
		return args
	}
	command := app.Command(args[at])
	if command == nil {
		return args
	}
	valued := map[string]bool{}
	for _, f := range command.Flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			valued[name] = !isBool
		}
	}
	flags, rest, dangling := permuted(args[at+1:], valued)
	out := append(append([]string{}, args[:at+1]...), flags...)
	if len(rest) == 0 || dangling { // a last flag without its value is found out when it is last
		return out
	}
	return append(append(out, "--"), rest...)
}

func permuted(args []string, valued map[string]bool) (flags, rest []string, dangling bool) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return flags, append(rest, args[i+1:]...), false
		}
		if len(a) < 2 || a[0] != '-' || isNumber(a) {
			rest = append(rest, a)
			continue
		}
		flags = append(flags, a)
		name, _, inline := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if valued[name] && !inline {
			if i+1 == len(args) {
				return flags, rest, true
			}
			i++
			flags = append(flags, args[i])
		}
	}
	return flags, rest, false
}

// isNumber reports whether an argument such as -1 is a number rather than a flag.
func isNumber(s string) bool { return len(s) > 1 && (s[1] >= '0' && s[1] <= '9' || s[1] == '.') }
