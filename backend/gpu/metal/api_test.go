package metal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// apple is what Apple publishes of the messages that the driver sends: the
// types of the arguments after the selector, and the header that declares it
// (macOS 13 and later; the Foundation messages are as old as Objective-C).
var apple = map[string]struct{ receiver, args, result, header string }{
	"name":                                        {"id<MTLDevice>", "", "NSString *", "MTLDevice.h"},
	"recommendedMaxWorkingSetSize":                {"id<MTLDevice>", "", "uint64_t", "MTLDevice.h"},
	"newCommandQueue":                             {"id<MTLDevice>", "", "id<MTLCommandQueue>", "MTLDevice.h"},
	"newBufferWithLength:options:":                {"id<MTLDevice>", "NSUInteger, MTLResourceOptions", "id<MTLBuffer>", "MTLDevice.h"},
	"newLibraryWithSource:options:error:":         {"id<MTLDevice>", "NSString *, MTLCompileOptions *, NSError **", "id<MTLLibrary>", "MTLDevice.h"},
	"newComputePipelineStateWithFunction:error:":  {"id<MTLDevice>", "id<MTLFunction>, NSError **", "id<MTLComputePipelineState>", "MTLDevice.h"},
	"contents":                                    {"id<MTLBuffer>", "", "void *", "MTLBuffer.h"},
	"newFunctionWithName:":                        {"id<MTLLibrary>", "NSString *", "id<MTLFunction>", "MTLLibrary.h"},
	"setFastMathEnabled:":                         {"MTLCompileOptions *", "BOOL", "void", "MTLLibrary.h"},
	"setLanguageVersion:":                         {"MTLCompileOptions *", "MTLLanguageVersion", "void", "MTLLibrary.h"},
	"maxTotalThreadsPerThreadgroup":               {"id<MTLComputePipelineState>", "", "NSUInteger", "MTLComputePipeline.h"},
	"commandBuffer":                               {"id<MTLCommandQueue>", "", "id<MTLCommandBuffer>", "MTLCommandQueue.h"},
	"computeCommandEncoder":                       {"id<MTLCommandBuffer>", "", "id<MTLComputeCommandEncoder>", "MTLCommandBuffer.h"},
	"commit":                                      {"id<MTLCommandBuffer>", "", "void", "MTLCommandBuffer.h"},
	"waitUntilCompleted":                          {"id<MTLCommandBuffer>", "", "void", "MTLCommandBuffer.h"},
	"status":                                      {"id<MTLCommandBuffer>", "", "MTLCommandBufferStatus", "MTLCommandBuffer.h"},
	"error":                                       {"id<MTLCommandBuffer>", "", "NSError *", "MTLCommandBuffer.h"},
	"setComputePipelineState:":                    {"id<MTLComputeCommandEncoder>", "id<MTLComputePipelineState>", "void", "MTLComputeCommandEncoder.h"},
	"setBuffer:offset:atIndex:":                   {"id<MTLComputeCommandEncoder>", "id<MTLBuffer>, NSUInteger, NSUInteger", "void", "MTLComputeCommandEncoder.h"},
	"setBytes:length:atIndex:":                    {"id<MTLComputeCommandEncoder>", "const void *, NSUInteger, NSUInteger", "void", "MTLComputeCommandEncoder.h"},
	"dispatchThreadgroups:threadsPerThreadgroup:": {"id<MTLComputeCommandEncoder>", "MTLSize, MTLSize", "void", "MTLComputeCommandEncoder.h"},
	"endEncoding":                                 {"id<MTLCommandEncoder>", "", "void", "MTLCommandEncoder.h"},
	"alloc":                                       {"NSObject", "", "id", "NSObject.h"},
	"init":                                        {"NSObject *", "", "id", "NSObject.h"},
	"retain":                                      {"NSObject *", "", "id", "NSObject.h"},
	"release":                                     {"NSObject *", "", "void", "NSObject.h"},
	"stringWithUTF8String:":                       {"NSString", "const char *", "NSString *", "NSString.h"},
	"UTF8String":                                  {"NSString *", "", "const char *", "NSString.h"},
	"localizedDescription":                        {"NSError *", "", "NSString *", "NSError.h"},

	"maxBufferLength": {"id<MTLDevice>", "", "NSUInteger", "MTLDevice.h"},
	"newBufferWithBytesNoCopy:length:options:deallocator:": {"id<MTLDevice>", "void *, NSUInteger, MTLResourceOptions, void (^)(void *,NSUInteger)", "id<MTLBuffer>", "MTLDevice.h"},
}

// TestConstants compares with the values in Apple's headers.
func TestConstants(t *testing.T) {
	for _, c := range []struct {
		name, header string
		got, want    int
	}{
		{"MTLLanguageVersion3_0", "MTLLibrary.h", languageVersion3, 0x30000},
		{"MTLResourceStorageModeShared", "MTLResource.h", resourceShared, 0 << 4}, // MTLStorageModeShared << MTLResourceStorageModeShift
		{"MTLCommandBufferStatusError", "MTLCommandBuffer.h", commandBufferFailed, 5},
		{"nil", "NSObjCRuntime.h", noDeallocator, 0},
	} {
		if c.got != c.want {
			t.Errorf("%s (%s) is %d, not %d", c.name, c.header, c.want, c.got)
		}
	}
}

// TestMessages reads the driver's source, which compiles for darwin only, and
// checks that every message exists and gets arguments of the right number and
// kind: pointers and structs by their address, numbers by value.
func TestMessages(t *testing.T) {
	files := token.NewFileSet()
	fields := map[string]string{} // selectors by the field that holds them
	var sends []*ast.CallExpr
	for _, name := range []string{"objc.go", "metal.go"} {
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				key, isText := n.Key.(*ast.BasicLit)
				address, isAddress := n.Value.(*ast.UnaryExpr)
				if isText && isAddress {
					selector, err := strconv.Unquote(key.Value)
					if err != nil {
						t.Fatal(err)
					}
					fields[address.X.(*ast.SelectorExpr).Sel.Name] = selector
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "send" {
					sends = append(sends, n)
				}
			}
			return true
		})
	}
	if len(fields) < 20 || len(sends) < 20 {
		t.Fatalf("found %d selectors and %d messages in the source", len(fields), len(sends))
	}
	sent := map[string]bool{}
	for _, call := range sends {
		field, ok := call.Args[1].(*ast.SelectorExpr)
		if !ok {
			continue // send itself
		}
		selector := fields[field.Sel.Name]
		sent[selector] = true
		api, ok := apple[selector]
		if !ok {
			t.Errorf("%s: %q is not among Apple's messages", files.Position(call.Pos()), selector)
			continue
		}
		var types []string
		if api.args != "" {
			types = strings.Split(api.args, ", ")
		}
		args := call.Args[2:]
		if len(args) != len(types) || strings.Count(selector, ":") != len(types) {
			t.Errorf("%s: %s takes (%s), got %d arguments", files.Position(call.Pos()), selector, api.args, len(args))
			continue
		}
		for i, arg := range args {
			byAddress := slices.Contains([]string{"NSError **", "void *", "const void *", "const char *", "MTLSize"}, types[i])
			if byAddress != mentions(arg, "Pointer") {
				t.Errorf("%s: argument %d of %s is a %s", files.Position(arg.Pos()), i+1, selector, types[i])
			}
		}
	}
	for _, selector := range slices.Sorted(maps.Values(fields)) {
		if !sent[selector] {
			t.Errorf("%s is never sent", selector)
		}
	}
}

// mentions reports whether an expression names x.
func mentions(e ast.Expr, x string) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == x
		return true
	})
	return found
}
