module emily

go 1.26.0

require (
	github.com/daulet/tokenizers v1.20.2
	github.com/dlclark/regexp2 v1.12.0
	github.com/rivo/uniseg v0.4.7
	golang.org/x/text v0.44.0
)
