package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEncode compares each encoding with what binutils reads in it.
func TestEncode(t *testing.T) {
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("objdump is not installed")
	}
	var code []byte
	var want []string
	for _, r := range [][3]int{{0, 1, 2}, {31, 30, 29}, {8, 16, 24}, {16, 8, 0}, {7, 23, 15}} {
		x, y, dst := zmm[r[0]], zmm[r[1]], zmm[r[2]]
		registers := fmt.Sprintf("%%zmm%d,%%zmm%d,%%zmm%d", r[0], r[1], r[2])
		for _, e := range []encoded{dotBF16, dotInt8, roundBF16} {
			code = append(code, e.bytes(x, y, dst)...)
			want = append(want, strings.ToLower(e.name)+" "+registers)
		}
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "i386:x86-64", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range strings.Split(string(out), "\n") {
		if f := strings.Split(line, "\t"); len(f) >= 3 {
			got = append(got, f[2])
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("objdump reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
