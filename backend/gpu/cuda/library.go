//go:build linux && !nogpu

package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library holds the addresses of the functions of libcuda that the driver
// calls. Names with a suffix are the current versions of their functions.
type library struct {
	init, driverVersion, errorName, errorString                              uintptr
	deviceCount, deviceGet, deviceName, deviceAttribute, deviceMemory        uintptr
	contextRetain, contextRelease, contextSet                                uintptr
	streamCreate, streamDestroy, streamSynchronize, captureBegin, captureEnd uintptr
	graphInstantiate, graphLaunch, graphDestroy, graphExecDestroy            uintptr
	alloc, free, memoryInfo, allocHost, freeHost, toDevice, toHost, fill     uintptr
	pool, poolSet, allocAsync, freeAsync                                     uintptr
	moduleLoad, moduleUnload, moduleFunction, functionSet, launch            uintptr
	occupancy, launchResident                                                uintptr
	encodeTiled                                                              uintptr // 0 before CUDA 12
	launchEx                                                                 uintptr // 0 before CUDA 11.8
}

// ErrNoDriver is in the error of New and Probe where NVIDIA's driver, libcuda, is not installed.
var ErrNoDriver = errors.New("there is no NVIDIA driver")

// openLibrary finds libcuda, which is part of NVIDIA's display driver.
func openLibrary() (*library, error) {
	handle, err := openFirst("libcuda.so.1", "libcuda.so", "/usr/local/nvidia/lib64/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDriver, err)
	}
	l := &library{}
	for name, address := range map[string]*uintptr{
		"cuInit": &l.init, "cuDriverGetVersion": &l.driverVersion, "cuGetErrorName": &l.errorName, "cuGetErrorString": &l.errorString,
		"cuDeviceGetCount": &l.deviceCount, "cuDeviceGet": &l.deviceGet, "cuDeviceGetName": &l.deviceName,
		"cuDeviceGetAttribute": &l.deviceAttribute, "cuDeviceTotalMem_v2": &l.deviceMemory,
		"cuDevicePrimaryCtxRetain": &l.contextRetain, "cuDevicePrimaryCtxRelease_v2": &l.contextRelease, "cuCtxSetCurrent": &l.contextSet,
		"cuStreamCreate": &l.streamCreate, "cuStreamDestroy_v2": &l.streamDestroy, "cuStreamSynchronize": &l.streamSynchronize,
		"cuStreamBeginCapture_v2": &l.captureBegin, "cuStreamEndCapture": &l.captureEnd,
		"cuGraphInstantiateWithFlags": &l.graphInstantiate, "cuGraphLaunch": &l.graphLaunch, "cuGraphDestroy": &l.graphDestroy, "cuGraphExecDestroy": &l.graphExecDestroy,
		"cuMemAlloc_v2": &l.alloc, "cuMemFree_v2": &l.free, "cuMemGetInfo_v2": &l.memoryInfo, "cuMemHostAlloc": &l.allocHost, "cuMemFreeHost": &l.freeHost,
		"cuMemcpyHtoDAsync_v2": &l.toDevice, "cuMemcpyDtoHAsync_v2": &l.toHost, "cuMemsetD8Async": &l.fill,
		"cuDeviceGetDefaultMemPool": &l.pool, "cuMemPoolSetAttribute": &l.poolSet, "cuMemAllocAsync": &l.allocAsync, "cuMemFreeAsync": &l.freeAsync,
		"cuModuleLoadData": &l.moduleLoad, "cuModuleUnload": &l.moduleUnload, "cuModuleGetFunction": &l.moduleFunction, "cuFuncSetAttribute": &l.functionSet, "cuLaunchKernel": &l.launch,
		"cuOccupancyMaxActiveBlocksPerMultiprocessor": &l.occupancy, "cuLaunchCooperativeKernel": &l.launchResident,
	} {
		if *address, err = purego.Dlsym(handle, name); err != nil {
			return nil, fmt.Errorf("the NVIDIA driver is too old: it has no %s (drivers for CUDA 11.4, version 470, and later do)", name)
		}
	}
	l.launchEx, _ = purego.Dlsym(handle, "cuLaunchKernelEx")
	l.encodeTiled, _ = purego.Dlsym(handle, "cuTensorMapEncodeTiled") // it is 0 where there is none
	return l, nil
}

// openFirst opens the first of some libraries that is there.
func openFirst(names ...string) (uintptr, error) {
	for _, name := range names {
		if handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL); err == nil {
			return handle, nil
		}
	}
	return 0, fmt.Errorf("none of %s could be loaded", strings.Join(names, ", "))
}

// Results of the driver API.
const outOfMemory = 2

// result is a driver API's error code.
type result struct {
	code int
	text string
}

func (r *result) Error() string { return r.text }

// call calls a function of libcuda; what says in words what it was for.
//
//go:uintptrescapes
func (l *library) call(what string, function uintptr, args ...uintptr) error {
	code, _, _ := purego.SyscallN(function, args...)
	if int32(code) == 0 {
		return nil
	}
	var name, description *byte
	purego.SyscallN(l.errorName, code, uintptr(unsafe.Pointer(&name)))
	purego.SyscallN(l.errorString, code, uintptr(unsafe.Pointer(&description)))
	return &result{int(int32(code)), fmt.Sprintf("%s: %s (%s)", what, text(description), text(name))}
}

// text reads C's string.
func text(p *byte) string {
	if p == nil {
		return "unknown"
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// Attributes of devices.
const (
	attributeClock           = 13 // in kHz, as the memory's
	attributeMultiprocessors = 16
	attributeMemoryClock     = 36
	attributeMemoryWidth     = 37 // in bits
	attributeMajor           = 75
	attributeMinor           = 76
	attributeCooperative     = 95
	attributeShared          = 97 // that a block may ask for
	attributePools           = 115
)

func (l *library) attribute(device int32, attribute uintptr) (int, error) {
	var v int32
	err := l.call("asking for an attribute of the device", l.deviceAttribute, uintptr(unsafe.Pointer(&v)), attribute, uintptr(device))
	return int(v), err
}

// read returns how many bytes a device can read from its memory in a cycle, at two bits a line and cycle of the memory, or 0 where the driver
// does not say.
func (l *library) read(device int32) float64 {
	var v [3]int
	for i, attribute := range []uintptr{attributeMemoryClock, attributeMemoryWidth, attributeClock} {
		n, err := l.attribute(device, attribute)
		if err != nil || n <= 0 {
			return 0
		}
		v[i] = n
	}
	return 2 * float64(v[0]) * float64(v[1]) / 8 / float64(v[2])
}

// Device is a CUDA device as Probe finds it.
type Device struct {
	Index int
	Name  string
	// Memory is its size in bytes.
	Memory int
	// Major and Minor are the compute capability.
	Major, Minor int
	// Multiprocessors is their number.
	Multiprocessors int

	id int32
}

// Probe lists the CUDA devices. Its error says what was looked for.
func Probe() ([]Device, error) {
	_, devices, err := devices()
	return devices, err
}

func devices() (*library, []Device, error) {
	l, err := openLibrary()
	if err != nil {
		return nil, nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var count int32
	if err := errors.Join(l.call("starting CUDA", l.init, 0), l.call("counting devices", l.deviceCount, uintptr(unsafe.Pointer(&count)))); err != nil {
		return nil, nil, err
	}
	var list []Device
	for i := range int(count) {
		d := Device{Index: i}
		name, bytes := make([]byte, 256), uint64(0)
		err := l.call("opening a device", l.deviceGet, uintptr(unsafe.Pointer(&d.id)), uintptr(i))
		for _, e := range []error{
			l.call("asking for the device's name", l.deviceName, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), uintptr(d.id)),
			l.call("asking for the device's memory", l.deviceMemory, uintptr(unsafe.Pointer(&bytes)), uintptr(d.id)),
		} {
			err = errors.Join(err, e)
		}
		d.Name, d.Memory = text(&name[0]), int(bytes)
		for attribute, v := range map[uintptr]*int{attributeMajor: &d.Major, attributeMinor: &d.Minor, attributeMultiprocessors: &d.Multiprocessors} {
			n, e := l.attribute(d.id, attribute)
			*v, err = n, errors.Join(err, e)
		}
		if err != nil {
			return nil, nil, err
		}
		list = append(list, d)
	}
	if len(list) == 0 {
		return nil, nil, errors.New("the NVIDIA driver finds no device")
	}
	return l, list, nil
}
