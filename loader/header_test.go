package loader

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
)

// file returns a safetensors file with this header and n bytes of data.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

// tensor returns a header entry.
func tensor(name, dtype, shape string, begin, end int) string {
	return fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, dtype, shape, begin, end)
}

func header(entries ...string) string { return "{" + strings.Join(entries, ",") + "}" }

func TestHeaderAccepts(t *testing.T) {
	tests := []struct {
		name   string
		file   []byte
		shapes string // names and shapes in the order of the data
	}{
		{"one", file(header(tensor("a", "F32", "[2,3]", 0, 24)), 24), "a[2 3]"},
		{"any order in the text", file(header(tensor("b", "BF16", "[2]", 4, 8), tensor("a", "F16", "[2]", 0, 4)), 8), "a[2] b[2]"},
		{"scalar", file(header(tensor("a", "F32", "[]", 0, 4)), 4), "a[]"},
		{"no elements", file(header(tensor("b", "F32", "[1]", 0, 4), tensor("a", "F32", "[0,7]", 4, 4), tensor("c", "F32", "[3,0]", 0, 0)), 4), "c[3 0] b[1] a[0 7]"},
		{"no tensors", file("{}", 0), ""},
		{"padding", file(header(tensor("a", "U8", "[1]", 0, 1))+"    \n", 1), "a[1]"},
		{"metadata", file(header(`"__metadata__":{"format":"pt"}`, tensor("a", "I64", "[1]", 0, 8)), 8), "a[1]"},
		{"half bytes", file(header(tensor("a", "F4", "[2,3]", 0, 3), tensor("b", "F6_E2M3", "[4]", 3, 6), tensor("c", "F8_E4M3", "[1]", 6, 7)), 7), "a[2 3] b[4] c[1]"},
		{"unaligned", file(header(tensor("a", "U8", "[1]", 0, 1), tensor("b", "F32", "[1]", 1, 5)), 5), "a[1] b[1]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tensors, start, err := readHeader(bytes.NewReader(tt.file), int64(len(tt.file)))
			if err != nil {
				t.Fatal(err)
			}
			if want := 8 + int64(binary.LittleEndian.Uint64(tt.file)); start != want {
				t.Errorf("data starts at %d, want %d", start, want)
			}
			var got []string
			for _, x := range tensors {
				got = append(got, x.Name+fmt.Sprint(x.Shape))
			}
			if strings.Join(got, " ") != tt.shapes {
				t.Errorf("got %v, want %v", got, tt.shapes)
			}
		})
	}
}

func TestHeaderRejects(t *testing.T) {
	a := tensor("a", "F32", "[2]", 0, 8)
	lfs := []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n")
	length := func(n uint64) []byte { return append(binary.LittleEndian.AppendUint64(nil, n), "{}"...) }
	tests := []struct {
		name string
		file []byte
		want string // part of the message
	}{
		{"empty file", nil, "not a safetensors file: 0 bytes"},
		{"7 bytes", make([]byte, 7), "not a safetensors file: 7 bytes"},
		{"8 bytes", make([]byte, 8), "must start with {"},
		{"Git LFS pointer", lfs, "git lfs pull"},
		{"length over the limit", length(100_000_001), "exceeds the format's limit"},
		{"length with the top bit", length(1 << 63), "exceeds the format's limit"},
		{"length over the file", length(3), "header has 3 bytes, of which 1 are missing"},
		{"no JSON", file("{nonsense", 0), "not valid JSON"},
		{"text after {", file("{}{}", 0), "data after the end"},
		{"space before {", file(" {}", 0), "must start with {"},
		{"array", file("[]", 0), "must start with {"},
		{"cut", file(`{"a":`, 0), "too early"},
		{"comma at the end", file("{"+a+",}", 8), "not valid JSON"},
		{"bad UTF-8", file("{\"\xff\":{}}", 0), "UTF-8"},
		{"duplicate name", file(header(a, a), 8), `"a" occurs twice`},
		{"duplicate name, escaped", file(header(a, strings.Replace(a, `"a"`, `"\u0061"`, 1)), 8), `"a" occurs twice`},
		{"duplicate field", file(header(`"a":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}`), 4), `"dtype" occurs twice`},
		{"unknown field", file(header(`"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}`), 4), `unknown field "x"`},
		{"no dtype", file(header(`"a":{"shape":[],"data_offsets":[0,4]}`), 4), "needs dtype"},
		{"no shape", file(header(`"a":{"dtype":"F32","data_offsets":[0,4]}`), 4), "needs dtype, shape"},
		{"no offsets", file(header(`"a":{"dtype":"F32","shape":[]}`), 4), "data_offsets"},
		{"one offset", file(header(`"a":{"dtype":"F32","shape":[],"data_offsets":[4]}`), 4), "two data_offsets"},
		{"three offsets", file(header(`"a":{"dtype":"F32","shape":[],"data_offsets":[0,4,8]}`), 4), "more than 2"},
		{"tensor is a number", file(`{"a":1}`, 0), "must be an object, found 1"},
		{"tensor is null", file(`{"a":null}`, 0), "must be an object, found null"},
		{"unknown dtype", file(header(tensor("a", "F31", "[2]", 0, 8)), 8), `unknown dtype "F31"`},
		{"dtype in lower case", file(header(tensor("a", "f32", "[2]", 0, 8)), 8), `unknown dtype "f32"`},
		{"negative dimension", file(header(tensor("a", "F32", "[-2]", 0, 8)), 8), "found -2"},
		{"fraction", file(header(tensor("a", "F32", "[2.0]", 0, 8)), 8), "found 2.0"},
		{"exponent", file(header(tensor("a", "F32", "[2e0]", 0, 8)), 8), "found 2e0"},
		{"dimension is text", file(header(tensor("a", "F32", `["2"]`, 0, 8)), 8), `found "2"`},
		{"dimension over 63 bits", file(header(tensor("a", "F32", "[9223372036854775808]", 0, 8)), 8), "integers from 0"},
		{"product overflows", file(header(tensor("a", "F32", "[4294967296,4294967296,4294967296]", 0, 0)), 0), "not a possible size"},
		{"product overflows to the size", file(header(tensor("a", "F32", "[4611686018427387906]", 0, 8)), 8), "not a possible size"},
		{"rank", file(header(tensor("a", "F32", "["+strings.Repeat("1,", 32)+"1]", 0, 4)), 4), "more than 32"},
		{"half a byte", file(header(tensor("a", "F4", "[3]", 0, 1)), 1), "not a possible size"},
		{"size against shape", file(header(tensor("a", "F32", "[3]", 0, 8)), 8), "needs 12 bytes, data_offsets give 8"},
		{"offsets backwards", file(header(tensor("a", "F32", "[2]", 8, 0)), 8), "data_offsets give -8"},
		{"negative offset", file(header(tensor("a", "F32", "[2]", -8, 0)), 8), "found -8"},
		{"overlap", file(header(a, tensor("b", "F32", "[2]", 4, 12)), 12), `"a" and "b" overlap`},
		{"same place", file(header(a, tensor("b", "F32", "[2]", 0, 8)), 8), `"a" and "b" overlap`},
		{"empty tensor inside another", file(header(a, tensor("b", "F32", "[0]", 4, 4)), 8), `"a" and "b" overlap`},
		{"hole", file(header(a, tensor("b", "F32", "[1]", 12, 16)), 16), `4 bytes before tensor "b"`},
		{"hole at the start", file(header(tensor("a", "F32", "[1]", 4, 8)), 8), `4 bytes before tensor "a"`},
		{"truncated", file(header(a), 5), "truncated: 3 bytes of data are missing"},
		{"oversized", file(header(a), 9), "1 bytes longer"},
		{"offset far away", file(header(tensor("a", "U8", "[576460752303423488]", 0, 1<<59)), 1), "truncated"},
		{"metadata not text", file(header(`"__metadata__":{"n":1}`), 0), "must be a string, found 1"},
		{"metadata nested", file(header(`"__metadata__":{"n":{}}`), 0), "must be a string"},
		{"metadata is text", file(header(`"__metadata__":"x"`), 0), "must be an object"},
		{"form feed after the object", file(header(a)+"\f", 8), "data after the end of the object"},
		{"depth", file(`{"a":`+strings.Repeat("[", 100000), 0), "must be an object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := readHeader(bytes.NewReader(tt.file), int64(len(tt.file)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
				t.Errorf("not one short line: %q", err)
			}
		})
	}
}

// FuzzHeader checks that any header that is accepted describes exactly its
// file and that a second, independent reader agrees with it.
func FuzzHeader(f *testing.F) {
	f.Add(file(header(tensor("a", "F32", "[2]", 0, 8), tensor("b", "BF16", "[]", 8, 10)), 10))
	f.Add(file(header(tensor("a", "I64", "[0,3]", 0, 0)), 0))
	f.Add(file(`{"__metadata__":{"format":"pt"}}  `, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, start, err := readHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		end := start
		for _, x := range tensors {
			if x.begin+start != end || x.Bytes*8 != x.Elements()*storedTypes[x.DType].bits {
				t.Fatalf("%+v does not follow byte %d", x, end)
			}
			end += x.Bytes
		}
		if end != int64(len(b)) {
			t.Fatalf("tensors end at %d of %d", end, len(b))
		}
		other, err := safetensors.Deserialize(b)
		if err != nil {
			if strings.Contains(err.Error(), "DType") { // it knows no F4, F6, F8 and C64
				return
			}
			t.Fatalf("accepted what another reader rejects: %v", err)
		}
		if other.Len() != len(tensors) {
			t.Fatalf("%d tensors, another reader finds %d", len(tensors), other.Len())
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1},"weight_map":{"a":"model-00001-of-00002.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x.safetensors"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		index, err := parseIndex(b)
		if err != nil {
			return
		}
		for name, file := range index {
			if strings.ContainsAny(file, "/\\:\x00") || !strings.HasSuffix(file, ".safetensors") {
				t.Fatalf("tensor %q escapes to %q", name, file)
			}
		}
	})
}
