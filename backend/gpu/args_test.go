package gpu

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"emily/backend/gpu/kernels"
)

// TestArgs compares the structs of arguments with their declarations in C++.
// All fields have 32 bits, so that order, type and length decide the layout.
func TestArgs(t *testing.T) {
	source := kernels.Source("host", kernels.Plain)
	structs := regexp.MustCompile(`(?s)struct (\w+Args) \{.*?\n(.*?)\};`)
	declared := map[string]string{}
	for _, m := range structs.FindAllStringSubmatch(source, -1) {
		declared[m[1]] = fields(t, m[2])
	}
	for _, args := range []any{mapArgs{}, chainArgs{}, rowArgs{}, reduceArgs{}, normArgs{}, splitArgs{}, readArgs{}, gatherArgs{}, productArgs{}, patchArgs{}, rotaryArgs{}, headsArgs{}, cacheArgs{}, attentionArgs{}, topKArgs{}} {
		typ := reflect.TypeOf(args)
		name := strings.ToUpper(typ.Name()[:1]) + typ.Name()[1:]
		var got []string
		for i := range typ.NumField() {
			f, n := typ.Field(i), 1
			elem := f.Type
			if elem.Kind() == reflect.Array {
				n, elem = elem.Len(), elem.Elem()
			}
			got = append(got, fmt.Sprintf("%s %s[%d]", map[reflect.Kind]string{reflect.Int32: "int", reflect.Float32: "float"}[elem.Kind()], f.Name, n))
		}
		if want := declared[name]; strings.Join(got, "\n") != want {
			t.Errorf("%s:\n%s\nC++ has\n%s", name, strings.Join(got, "\n"), want)
		}
		delete(declared, name)
	}
	for name := range declared {
		t.Errorf("%s is declared in C++ alone", name)
	}
}

// fields lists a struct's fields as "type name[length]", one a line.
func fields(t *testing.T, body string) string {
	declaration := regexp.MustCompile(`^(int|float) (.*);`)
	field := regexp.MustCompile(`^(\w+)(?:\[(\w+)\])?$`)
	var list []string
	for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
		m := declaration.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("%q declares no 32-bit fields", line)
		}
		for _, name := range strings.Split(m[2], ", ") {
			f := field.FindStringSubmatch(name)
			if f == nil {
				t.Fatalf("%q is no field", name)
			}
			length := map[string]string{"": "1", "max_rank": fmt.Sprint(maxRank), "most_leaves": fmt.Sprint(mostLeaves),
				"leaf_strides": fmt.Sprint(maxRank * mostLeaves), "program_words": fmt.Sprint(4 * mostInstructions)}[f[2]]
			if length == "" {
				length = f[2]
			}
			list = append(list, fmt.Sprintf("%s %s[%s]", m[1], f[1], length))
		}
	}
	return strings.Join(list, "\n")
}
