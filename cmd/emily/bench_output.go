package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"emily/bench"
)

// benchOutput is one thing that bench writes.
type benchOutput struct {
	flag, path string // path - is standard output
	write      func(io.Writer, *bench.Report) error
}

// benchOutputs are what the flags ask for; before, if not nil, is compared with.
func benchOutputs(c *cli.Context, before *bench.Report) []benchOutput {
	figures, markdown := c.String("out-json"), c.String("markdown")
	if markdown == "" && figures != "-" {
		markdown = "-"
	}
	if figures == "-" && markdown == "-" {
		markdown = ""
	}
	var list []benchOutput
	for _, o := range []benchOutput{
		{"out-json", figures, func(w io.Writer, r *bench.Report) error { return r.WriteJSON(w) }},
		{"markdown", markdown, func(w io.Writer, r *bench.Report) error {
			if err := r.WriteMarkdown(w); err != nil || before == nil {
				return err
			}
			fmt.Fprintln(w)
			return bench.WriteComparison(w, bench.Compare(before, r))
		}},
	} {
		if o.path != "" {
			list = append(list, o)
		}
	}
	return list
}

// checkOutputs finds out before the run whether its report can be kept. It
// leaves every file as it is.
func checkOutputs(list []benchOutput) error {
	if len(list) == 2 && sameFile(list[0].path, list[1].path) {
		return usagef("--%s and --%s name the same file, %s: name two", list[0].flag, list[1].flag, list[0].path)
	}
	var errs []error
	for _, o := range list {
		if o.path != "-" {
			errs = append(errs, o.failed(checkWritable(o.path)))
		}
	}
	return errors.Join(errs...)
}

// writeReport writes a report to every output, whatever becomes of the others.
// As long as the run goes on these are the files; if one of them cannot be
// written the run ends, and standard output is written too.
func writeReport(std stdio, list []benchOutput, report *bench.Report, goesOn bool) error {
	var errs []error
	for _, o := range list {
		if o.path != "-" {
			errs = append(errs, o.failed(replaceFile(o.path, func(w io.Writer) error { return o.write(w, report) })))
		}
	}
	for _, o := range list {
		if o.path == "-" && (!goesOn || errors.Join(errs...) != nil) {
			errs = append(errs, o.write(std.out, report))
		}
	}
	return errors.Join(errs...)
}

var errFolder = errors.New("it is a folder")

// failed says that the file of an output cannot be written, why, and what to
// do. The cause is told without the paths that came up on the way.
func (o benchOutput) failed(err error) error {
	if err == nil {
		return nil
	}
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	}
	advice := "name another file"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		advice = "make its folder first, or name another file"
	case errors.Is(err, errFolder):
		advice = "name a file in it"
	}
	return fmt.Errorf("--%s: %s cannot be written: %w: %s", o.flag, o.path, err, advice)
}

// checkWritable returns the error that replaceFile would, as far as can be known.
func checkWritable(path string) error {
	path = target(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		return errFolder
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeDevice == 0:
		return nil // the reader of a pipe would take the end of a check for the end of the report
	default:
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(nil) // a device that is full says so
		if err := errors.Join(err, f.Close()); err != nil || !info.Mode().IsRegular() {
			return err
		}
	}
	f, err := createPart(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// replaceFile writes a file so that at any time its path holds the old text or
// the whole new one. What is no plain file, such as a pipe, is written to.
func replaceFile(path string, write func(io.Writer) error) error {
	path = target(path)
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		if mode = info.Mode(); !mode.IsRegular() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			return errors.Join(write(f), f.Close())
		}
	}
	f, err := createPart(path)
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// createPart makes the file that will take the place of path.
func createPart(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), ".emily-bench-*.part")
}

// target is the file that a path leads to; of one that is not there yet the
// folder counts.
func target(path string) string {
	if file, err := filepath.EvalSymlinks(path); err == nil {
		return file
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil && !os.IsPathSeparator(path[len(path)-1]) {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// sameFile reports whether two paths lead to one file, in which one report
// would replace the other. Devices keep nothing.
func sameFile(a, b string) bool {
	if a == "-" || b == "-" {
		return false
	}
	first, err := os.Stat(a)
	second, err2 := os.Stat(b)
	if err == nil && err2 == nil {
		return os.SameFile(first, second) && first.Mode()&fs.ModeDevice == 0
	}
	a, err = filepath.Abs(target(a))
	b, err2 = filepath.Abs(target(b))
	return err == nil && err2 == nil && a == b
}
