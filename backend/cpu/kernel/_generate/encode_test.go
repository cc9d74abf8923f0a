package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/mmcloughlin/avo/reg"
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
	for _, i := range []struct {
		code tileCode
		text string
	}{
		{configureTiles(RAX), "ldtilecfg (%rax)"},
		{configureTiles(RDI), "ldtilecfg (%rdi)"},
		{releaseTiles(), "tilerelease"},
		{clearTile(0), "tilezero %tmm0"},
		{clearTile(7), "tilezero %tmm7"},
		{loadTile(0, RAX, RSI, 0), "tileloadd 0x0(%rax,%rsi,1),%tmm0"},
		{loadTile(6, RCX, R12, 64), "tileloadd 0x40(%rcx,%r12,1),%tmm6"},
		{loadTile(5, R11, RDX, -128), "tileloadd -0x80(%r11,%rdx,1),%tmm5"},
		{storeTile(3, RDI, R9, 64), "tilestored %tmm3,0x40(%rdi,%r9,1)"},
		{storeTile(7, R13, RBX, 0), "tilestored %tmm7,0x0(%r13,%rbx,1)"},
		{multiplyTiles(0, 4, 6), "tdpbf16ps %tmm6,%tmm4,%tmm0"},
		{multiplyTiles(7, 1, 2), "tdpbf16ps %tmm2,%tmm1,%tmm7"},
	} {
		code, want = append(code, i.code.bytes...), append(want, i.text)
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
			got = append(got, strings.TrimSpace(f[2]))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("objdump reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
