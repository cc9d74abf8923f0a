package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Host describes the machine.
type Host struct {
	Name   string `json:"host"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory"` // bytes, 0 if unknown
	GPU    string `json:"gpu"`
	OS     string `json:"os"`
}

// ThisHost asks the system. What it does not tell is "" or 0.
func ThisHost() Host {
	h := Host{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), GPU: "none", OS: runtime.GOOS}
	h.Name, _ = os.Hostname()
	h.Memory, _, _ = Memory()
	switch runtime.GOOS {
	case "linux":
		if model := field("/proc/cpuinfo", "model name"); model != "" {
			h.CPU = model
		}
		h.OS = firstOf(strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`), "linux")
		if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
			h.OS += ", kernel " + strings.TrimSpace(string(release))
		}
		if gpu, err := exec.Command("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").Output(); err == nil {
			h.GPU = strings.Join(strings.Split(strings.TrimSpace(string(gpu)), "\n"), ", ")
		}
	case "darwin":
		h.CPU = firstOf(commandOutput("sysctl", "-n", "machdep.cpu.brand_string"), h.CPU)
		h.GPU = h.CPU
		h.OS = "macOS " + commandOutput("sw_vers", "-productVersion")
	}
	return h
}

// String is the host in a line.
func (h Host) String() string {
	memory := "unknown memory"
	if h.Memory > 0 {
		memory = fmt.Sprintf("%.1f GB", float64(h.Memory)/1e9)
	}
	return fmt.Sprintf("%s, %d cores, %s, GPU: %s, %s", h.CPU, h.Cores, memory, h.GPU, h.OS)
}

// field returns the value of the first "name: value" or "name=value" line of a file.
func field(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if i := strings.IndexAny(s.Text(), ":="); i >= 0 && strings.TrimSpace(s.Text()[:i]) == name {
			return strings.TrimSpace(s.Text()[i+1:])
		}
	}
	return ""
}

func commandOutput(command string, args ...string) string {
	out, err := exec.Command(command, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
