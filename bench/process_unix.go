//go:build unix

package bench

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup gives a command a process group of its own.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// pause stops a lane that waits for its turn, so that threads which spin for
// work take no processor from the lane that is timed; resume lets it go on.
func pause(p *os.Process)  { syscall.Kill(-p.Pid, syscall.SIGSTOP) }
func resume(p *os.Process) { syscall.Kill(-p.Pid, syscall.SIGCONT) }

// kill ends a lane with its children.
func kill(p *os.Process) { syscall.Kill(-p.Pid, syscall.SIGKILL) }

func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// freeDisk returns the bytes that may be written below a folder that exists.
func freeDisk(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
