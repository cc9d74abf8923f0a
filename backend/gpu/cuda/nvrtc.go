//go:build linux && !nogpu

package cuda

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// compiler is NVRTC, the part of the CUDA toolkit that compiles at run time.
type compiler struct {
	version, archCount, archs, create, compile, logSize, log, codeSize, code, destroy uintptr
	major, minor                                                                      int32
}

// nvrtcNames are where NVRTC may be: EMILY_NVRTC, then on the loader's path and
// in the toolkit's usual folders, versions that the driver knows first.
func nvrtcNames(driverMajor int) []string {
	var files []string
	for _, major := range []int{driverMajor, 13, 12} {
		if major <= driverMajor || driverMajor == 0 {
			files = append(files, fmt.Sprintf("libnvrtc.so.%d", major))
		}
	}
	files = append(files, "libnvrtc.so.11.2", "libnvrtc.so")
	var names []string
	if path := os.Getenv("EMILY_NVRTC"); path != "" {
		names = append(names, path)
	}
	names = append(names, files...)
	folders := []string{os.Getenv("CUDA_HOME"), os.Getenv("CUDA_PATH"), "/usr/local/cuda"}
	more, _ := filepath.Glob("/usr/local/cuda-*") // the pattern is well formed
	for _, folder := range append(folders, more...) {
		for _, file := range files {
			if folder != "" {
				names = append(names, filepath.Join(folder, "lib64", file))
			}
		}
	}
	return names
}

func openCompiler(driverMajor int) (*compiler, error) {
	handle, err := openFirst(nvrtcNames(driverMajor)...)
	if err != nil {
		return nil, fmt.Errorf("NVRTC, which compiles the kernels, is missing: install the CUDA toolkit or name the library in EMILY_NVRTC (%w)", err)
	}
	c := &compiler{}
	for name, address := range map[string]*uintptr{
		"nvrtcVersion": &c.version, "nvrtcGetNumSupportedArchs": &c.archCount, "nvrtcGetSupportedArchs": &c.archs, "nvrtcCreateProgram": &c.create,
		"nvrtcCompileProgram": &c.compile, "nvrtcGetProgramLogSize": &c.logSize, "nvrtcGetProgramLog": &c.log,
		"nvrtcGetCUBINSize": &c.codeSize, "nvrtcGetCUBIN": &c.code, "nvrtcDestroyProgram": &c.destroy,
	} {
		if *address, err = purego.Dlsym(handle, name); err != nil {
			return nil, fmt.Errorf("NVRTC is too old: it has no %s (version 11.2 and later do)", name)
		}
	}
	return c, c.check("asking for its version", c.version, uintptr(unsafe.Pointer(&c.major)), uintptr(unsafe.Pointer(&c.minor)))
}

// check calls a function of NVRTC.
//
//go:uintptrescapes
func (c *compiler) check(what string, function uintptr, args ...uintptr) error {
	if code, _, _ := purego.SyscallN(function, args...); int32(code) != 0 {
		return fmt.Errorf("NVRTC: %s failed (error %d)", what, int32(code))
	}
	return nil
}

// supports reports whether NVRTC makes code for a compute capability, as 90 for 9.0.
func (c *compiler) supports(capability int) bool {
	var n int32
	if c.check("counting architectures", c.archCount, uintptr(unsafe.Pointer(&n))) != nil || n < 1 {
		return false
	}
	archs := make([]int32, n)
	if c.check("listing architectures", c.archs, uintptr(unsafe.Pointer(&archs[0]))) != nil {
		return false
	}
	for _, a := range archs {
		if int(a) == capability {
			return true
		}
	}
	return false
}

// target is the name of a compute capability, from 9.0 on with the
// instructions that only it has.
func target(capability int) string {
	if capability >= 90 {
		return fmt.Sprintf("sm_%da", capability)
	}
	return fmt.Sprintf("sm_%d", capability)
}

// cubin compiles a program for a compute capability. The error holds the
// compiler's messages.
func (c *compiler) cubin(source string, capability int) ([]byte, error) {
	code, _, err := c.build(source, capability)
	return code, err
}

// build is cubin with more options, and returns the compiler's messages too.
func (c *compiler) build(source string, capability int, more ...string) (code, messages []byte, err error) {
	if !c.supports(capability) {
		return nil, nil, fmt.Errorf("NVRTC %d.%d makes no code for compute capability %d.%d: install a CUDA toolkit that does", c.major, c.minor, capability/10, capability%10)
	}
	var program uintptr
	text, name := []byte(source+"\x00"), []byte("kernels.cu\x00")
	if err := c.check("creating a program", c.create, uintptr(unsafe.Pointer(&program)), uintptr(unsafe.Pointer(&text[0])), uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
		return nil, nil, err
	}
	defer c.check("destroying a program", c.destroy, uintptr(unsafe.Pointer(&program)))
	architecture, standard := []byte("--gpu-architecture="+target(capability)+"\x00"), []byte("--std=c++17\x00")
	options := []*byte{&architecture[0], &standard[0]}
	for _, o := range more {
		options = append(options, unsafe.StringData(o+"\x00"))
	}
	failed := c.check("compiling the kernels", c.compile, program, uintptr(len(options)), uintptr(unsafe.Pointer(&options[0])))
	runtime.KeepAlive(options)
	messages, err = c.read(program, c.logSize, c.log)
	if failed != nil {
		return nil, messages, errors.Join(failed, err, errors.New(strings.TrimRight(string(messages), "\x00\n")))
	}
	if err != nil {
		return nil, nil, err
	}
	code, err = c.read(program, c.codeSize, c.code)
	return code, messages, err
}

// read returns what one function gives the size of and another the contents.
func (c *compiler) read(program, size, contents uintptr) ([]byte, error) {
	var n uint64
	if err := c.check("asking for a result's size", size, program, uintptr(unsafe.Pointer(&n))); err != nil || n == 0 {
		return nil, err
	}
	b := make([]byte, n)
	return b, c.check("reading a result", contents, program, uintptr(unsafe.Pointer(&b[0])))
}
