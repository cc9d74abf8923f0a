package metal

// Numbers of Metal's interface, as its headers define them.
const (
	languageVersion3    = 3 << 16 // MTLLanguageVersion3_0
	resourceShared      = 0       // MTLResourceStorageModeShared
	commandBufferFailed = 5       // MTLCommandBufferStatusError
	noDeallocator       = 0       // nil, a block
	offsetAlignment     = 4       // of a buffer in the device address space
)
