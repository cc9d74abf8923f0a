//go:build darwin && arm64 && !nogpu

package metal

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/ebitengine/purego/objc"
)

// object is an Objective-C object: a device, queue, buffer...
type object uintptr

// selector is a message's registered name.
type selector uintptr

// runtime holds what the driver calls by address: functions of Objective-C and
// Metal, and selectors, which are looked up once.
type runtime struct {
	msgSend, poolPush, poolPop, createDevice uintptr

	name, maxWorkingSet, newQueue, newBuffer, contents, newLibrary, newFunction, newPipeline selector
	maxBuffer, newBufferOver                                                                 selector
	alloc, init, release, retain, setFastMath, setLanguage, stringWith, utf8, description    selector
	commandBuffer, encoder, setPipeline, setBuffer, setBytes, dispatch, endEncoding          selector
	commit, waitUntilCompleted, status, failure, maxThreads                                  selector
}

// selectors names the fields' selectors; the types of their arguments are those of Apple's headers
// MTLDevice.h, MTLLibrary.h, MTLCommandBuffer.h, MTLComputeCommandEncoder.h and MTLComputePipeline.h.
func (o *runtime) selectors() map[string]*selector {
	return map[string]*selector{
		"name": &o.name, "recommendedMaxWorkingSetSize": &o.maxWorkingSet, "newCommandQueue": &o.newQueue,
		"newBufferWithLength:options:": &o.newBuffer, "contents": &o.contents, "newLibraryWithSource:options:error:": &o.newLibrary,
		"maxBufferLength": &o.maxBuffer, "newBufferWithBytesNoCopy:length:options:deallocator:": &o.newBufferOver,
		"newFunctionWithName:": &o.newFunction, "newComputePipelineStateWithFunction:error:": &o.newPipeline,
		"maxTotalThreadsPerThreadgroup": &o.maxThreads,
		"alloc":                         &o.alloc, "init": &o.init, "release": &o.release, "retain": &o.retain,
		"setFastMathEnabled:": &o.setFastMath, "setLanguageVersion:": &o.setLanguage,
		"stringWithUTF8String:": &o.stringWith, "UTF8String": &o.utf8, "localizedDescription": &o.description,
		"commandBuffer": &o.commandBuffer, "computeCommandEncoder": &o.encoder, "setComputePipelineState:": &o.setPipeline,
		"setBuffer:offset:atIndex:": &o.setBuffer, "setBytes:length:atIndex:": &o.setBytes,
		"dispatchThreadgroups:threadsPerThreadgroup:": &o.dispatch, "endEncoding": &o.endEncoding, "commit": &o.commit,
		"waitUntilCompleted": &o.waitUntilCompleted, "status": &o.status, "error": &o.failure,
	}
}

func openRuntime() (*runtime, error) {
	o := &runtime{}
	language, err := purego.Dlopen("/usr/lib/libobjc.A.dylib", purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	// A command-line program gets a device only with Core Graphics loaded.
	var framework uintptr
	for _, path := range []string{"/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics", "/System/Library/Frameworks/Metal.framework/Metal"} {
		if framework, err = purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL); err != nil {
			return nil, fmt.Errorf("there is no Metal: %w", err)
		}
	}
	for _, f := range []struct {
		library uintptr
		name    string
		address *uintptr
	}{
		{language, "objc_msgSend", &o.msgSend}, {language, "objc_autoreleasePoolPush", &o.poolPush},
		{language, "objc_autoreleasePoolPop", &o.poolPop}, {framework, "MTLCreateSystemDefaultDevice", &o.createDevice},
	} {
		if *f.address, err = purego.Dlsym(f.library, f.name); err != nil {
			return nil, err
		}
	}
	for name, s := range o.selectors() {
		*s = selector(objc.RegisterName(name))
	}
	return o, nil
}

// send sends a message. Structs of more than 16 bytes are passed by their
// address, as arm64's calling convention does.
//
//go:uintptrescapes
func (o *runtime) send(to object, message selector, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(o.msgSend, append([]uintptr{uintptr(to), uintptr(message)}, args...)...)
	return result
}

// class returns a class, to which messages can be sent too.
func class(name string) object { return object(objc.GetClass(name)) }

// text returns an autoreleased NSString.
func (o *runtime) text(s string) object {
	b := append([]byte(s), 0)
	return object(o.send(class("NSString"), o.stringWith, uintptr(unsafe.Pointer(&b[0]))))
}

// read returns the contents of an NSString.
func (o *runtime) read(s object) string {
	if s == 0 {
		return ""
	}
	address := o.send(s, o.utf8)
	p := *(**byte)(unsafe.Pointer(&address))
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// errorOf turns an NSError into Go's.
func (o *runtime) errorOf(e object) error {
	if e == 0 {
		return errors.New("unknown error")
	}
	return errors.New(o.read(object(o.send(e, o.description))))
}
