package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEncode compares each encoding with what binutils reads in it.
func TestEncode(t *testing.T) {
	objdump, err := exec.LookPath("aarch64-linux-gnu-objdump")
	if err != nil {
		t.Skip("aarch64-linux-gnu-objdump is not installed")
	}
	var code []byte
	var want []string
	add := func(word uint32, text string) {
		code = binary.LittleEndian.AppendUint32(code, word)
		want = append(want, text)
	}
	for _, r := range [][3]vreg{{0, 1, 2}, {31, 30, 29}, {16, 8, 24}} {
		for name := range op3 {
			add(encode3(name, r[0], r[1], r[2]))
		}
		for name := range op2 {
			add(encode2(name, r[0], r[1]))
		}
		for lane := range 4 {
			add(fmlaByLane.encode(r[0], r[1], r[2], lane))
			add(bfdotByLane.encode(r[0], r[1], r[2], lane))
		}
		for _, name := range []string{"bfdot", "sdot"} {
			add(encodeDot(name, r[0], r[1], r[2]))
		}
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "aarch64", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range strings.Split(string(out), "\n") {
		if f := strings.Split(line, "\t"); len(f) >= 4 {
			got = append(got, f[2]+" "+f[3])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("objdump reads %d instructions of %d:\n%s", len(got), len(want), out)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("objdump reads %q, want %q", got[i], want[i])
		}
	}
}
