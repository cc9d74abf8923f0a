//go:build !unix

package bench

import (
	"math"
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}
func pause(*os.Process)  {}
func resume(*os.Process) {}
func kill(p *os.Process) { p.Kill() }

func exitCode(s *os.ProcessState) int { return s.ExitCode() }

// freeDisk is not known here: the writer reports a full disk.
func freeDisk(string) (int64, error) { return math.MaxInt64, nil }
