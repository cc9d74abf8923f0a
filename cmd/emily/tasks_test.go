package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	images = "../../testdata/images"
	sounds = "../../testdata/audio"
)

// write puts a file into a new folder and returns its path.
func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// wav makes a 16 kHz mono file of 16-bit samples.
func wav(samples []int16) []byte {
	var b bytes.Buffer
	size := uint32(2 * len(samples))
	b.WriteString("RIFF")
	binary.Write(&b, binary.LittleEndian, 36+size)
	b.WriteString("WAVEfmt ")
	for _, v := range []any{uint32(16), uint16(1), uint16(1), uint32(16000), uint32(32000), uint16(2), uint16(16)} {
		binary.Write(&b, binary.LittleEndian, v)
	}
	b.WriteString("data")
	binary.Write(&b, binary.LittleEndian, size)
	binary.Write(&b, binary.LittleEndian, samples)
	return b.Bytes()
}

func tone(n int) []int16 {
	x := make([]int16, n)
	for i := range x {
		x[i] = int16(8000 * math.Sin(float64(i)*0.17))
	}
	return x
}

func TestVerifyTasks(t *testing.T) {
	for name, outputs := range map[string][]string{
		"tiny-bert":          {"0.hidden.3", "4.last_hidden_state", "4.pooler_output"},
		"tiny-distilbert-qa": {"0.hidden.3", "4.start_logits", "4.answer"},
		"tiny-vit":           {"0.hidden.3", "4.pixel_values", "4.logits", "4.label"},
		"tiny-whisper":       {"0.features", "0.encoder_hidden.2", "0.decoder_hidden.2", "3.plain", "3.suppressed"},
	} {
		for _, lane := range []string{"eager", "native", "fuse"} {
			out := succeed(t, "", "verify", "--model", filepath.Join(models, name), filepath.Join(tiny, name+".json"), "--lane", lane)
			for _, output := range outputs {
				if !strings.Contains(out, output) {
					t.Errorf("%s: no %s in\n%s", name, output, out)
				}
			}
		}
		if _, stderr, code := emily(t, "", "verify", "--model", filepath.Join(models, name), filepath.Join(tiny, name+".json"), "--tolerance", "0"); code != exitFailed {
			t.Errorf("%s: with tolerance 0: exit code %d, %s", name, code, stderr)
		}
	}
}

func TestTranscribeFormats(t *testing.T) {
	model, sound := models+"/tiny-whisper", sounds+"/tiny-1.wav"
	for format, want := range map[string]string{"srt": " --> 00:00:0", "vtt": "WEBVTT\n\n00:00:0", "tsv": "start\tend\ttext\n", "text": "\n"} {
		if out := succeed(t, "", "transcribe", sound, "--model", model, "--format", format, "--no-fallback"); !strings.Contains(out, want) {
			t.Errorf("%s: %q lacks %q", format, out, want)
		}
	}
	var got struct {
		Language string
		Duration float64
		Text     string
		Segments []struct{ Start, End float64 }
	}
	if err := json.Unmarshal([]byte(succeed(t, "", "transcribe", sound, "--model", model, "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Language == "" || math.Abs(got.Duration-3) > 0.01 || len(got.Segments) == 0 {
		t.Errorf("got %+v", got)
	}
	fails(t, exitUsage, []string{"choose one"}, "transcribe", sound, "--model", model, "--json", "--format", "srt")
}

func TestTranscribePipe(t *testing.T) {
	file, err := os.ReadFile(sounds + "/tiny-1.wav")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--model", models + "/tiny-whisper", "--no-fallback", "--language", "de"}
	read := succeed(t, "", append([]string{"transcribe", sounds + "/tiny-1.wav"}, args...)...)
	piped := succeed(t, string(file), append([]string{"transcribe", "-"}, args...)...)
	if piped != read {
		t.Errorf("a pipe gives %q, the file %q", piped, read)
	}
}

func TestBadSounds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		content []byte
		texts   []string
	}{
		{"empty", nil, []string{"empty"}},
		{"no samples", wav(nil), []string{"no sound"}},
		{"silent", wav(make([]int16, 16000)), []string{"silent"}},
		{"an image", []byte("\x89PNG\r\n\x1a\n0000000000000000"), []string{"PNG"}},
		{"text", []byte("once upon a time there was a text"), []string{"sound.wav"}},
		{"truncated header", wav(tone(100))[:30], []string{"sound.wav"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fails(t, exitFailed, tt.texts, "transcribe", write(t, "sound.wav", tt.content), "--model", models+"/tiny-whisper", "--no-fallback")
		})
	}
	t.Run("truncated", func(t *testing.T) { // what came before is kept
		file := wav(tone(40000))
		out, stderr, code := emily(t, "", "transcribe", write(t, "sound.wav", file[:len(file)/2]), "--model", models+"/tiny-whisper", "--no-fallback")
		if code != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "incomplete") || out == "" {
			t.Errorf("exit code %d, stdout %q, stderr %q", code, out, stderr)
		}
	})
	t.Run("one sample", func(t *testing.T) {
		if _, stderr, code := emily(t, "", "transcribe", write(t, "sound.wav", wav(tone(2)[1:])), "--model", models+"/tiny-whisper", "--no-fallback"); strings.Count(stderr, "\n") > 1 || code > 1 {
			t.Errorf("exit code %d, %q", code, stderr)
		}
	})
	fails(t, exitFailed, []string{"nowhere.wav"}, "transcribe", "nowhere.wav", "--model", models+"/tiny-whisper")
	fails(t, exitUsage, []string{"--format"}, "transcribe", sounds+"/tiny-0.wav", "--format", "pdf", "--model", models+"/tiny-whisper")
	fails(t, exitFailed, []string{"language", "xx"}, "transcribe", sounds+"/tiny-0.wav", "--language", "xx", "--model", models+"/tiny-whisper")
}

func TestClassifyImages(t *testing.T) {
	model := models + "/tiny-vit"
	var ref struct {
		Cases []struct {
			Image string
			Top   [][]any
		}
	}
	readJSON(t, tiny+"/tiny-vit.json", &ref)
	for _, c := range ref.Cases {
		var got labelled
		out := succeed(t, "", "classify", "../../testdata/"+c.Image, "--model", model, "--json", "--top-k", "3")
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Labels) != 3 || got.Labels[0].Name != c.Top[0][0] || math.Abs(got.Labels[0].Score-c.Top[0][1].(float64)) > 1e-3 {
			t.Errorf("%s: got %+v, want %v", c.Image, got.Labels, c.Top)
		}
	}
	if out := succeed(t, "", "classify", images, "--model", model, "-k", "1", "--json"); strings.Count(out, "\n") != len(ref.Cases) {
		t.Errorf("the folder gives\n%s", out)
	}
	file, err := os.ReadFile(images + "/1-rgb-48x48.png")
	if err != nil {
		t.Fatal(err)
	}
	if out := succeed(t, string(file), "classify", "-", "--model", model); !strings.Contains(out, "snow goose") {
		t.Errorf("from a pipe: %s", out)
	}
}

// setWidth changes the width in a PNG's header chunk, and its checksum.
func setWidth(file []byte, width uint32) {
	binary.BigEndian.PutUint32(file[16:], width)
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
}

func TestBadImages(t *testing.T) {
	good, err := os.ReadFile(images + "/0-rgb-97x61.png")
	if err != nil {
		t.Fatal(err)
	}
	wide := bytes.Clone(good)
	setWidth(wide, 100000)
	zero := bytes.Clone(good)
	setWidth(zero, 0)
	for _, tt := range []struct {
		name    string
		content []byte
		texts   []string
	}{
		{"empty", nil, []string{"empty"}},
		{"truncated", good[:len(good)/2], []string{"image.png"}},
		{"zero-sized", zero, []string{"image.png"}},
		{"too wide", wide, []string{"100000"}},
		{"text", []byte("not an image, but a text"), []string{"image.png"}},
		{"pdf", []byte("%PDF-1.7 "), []string{"PDF"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fails(t, exitFailed, tt.texts, "classify", write(t, "image.png", tt.content), "--model", models+"/tiny-vit")
		})
	}
	fails(t, exitFailed, []string{"no images"}, "classify", t.TempDir(), "--model", models+"/tiny-vit")
	fails(t, exitUsage, []string{"--top-k"}, "classify", images, "-k", "0", "--model", models+"/tiny-vit")
	// Of several files the bad one is named and the others are classified.
	out, stderr, code := emily(t, "", "classify", images+"/1-rgb-48x48.png", write(t, "bad.png", nil), "--model", models+"/tiny-vit")
	if code != exitFailed || !strings.Contains(out, "snow goose") || !strings.Contains(stderr, "bad.png") {
		t.Errorf("exit code %d, %q, %q", code, out, stderr)
	}
}

func TestAnswerCommand(t *testing.T) {
	model := models + "/tiny-distilbert-qa"
	var ref struct {
		Cases []struct {
			Question, Context, Answer string
			Offsets                   []int `json:"answer_offsets"`
		}
	}
	readJSON(t, tiny+"/tiny-distilbert-qa.json", &ref)
	for _, c := range ref.Cases {
		var got struct {
			Answer     string
			Start, End int
			Score      float64
		}
		out := succeed(t, c.Context, "answer", "-q", c.Question, "-f", "-", "--model", model, "--json")
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if got.Answer != c.Answer || got.Start != c.Offsets[0] || got.End != c.Offsets[1] {
			t.Errorf("%q: got %+v, want %q at %v", c.Question, got, c.Answer, c.Offsets)
		}
	}
	long := strings.Repeat("The lamp burns oil. ", 200)
	if out := succeed(t, "", "answer", "-q", "What burns?", "-c", long, "-k", "3", "--stride", "10", "--model", model); strings.Count(out, "\n") != 3 {
		t.Errorf("three answers of a long text: %s", out)
	}
	if out := succeed(t, "", "answer", "-q", "When was the old lighthouse of the northern cape built?", "-c", "1874", "--model", model); !strings.Contains(out, "1874") {
		t.Errorf("a text shorter than the question: %s", out)
	}
	for _, tt := range []struct {
		name  string
		code  int
		args  []string
		texts []string
	}{
		{"empty text", exitFailed, []string{"-q", "why?", "-c", " "}, []string{"text is empty"}},
		{"empty question", exitFailed, []string{"-q", "", "-c", "x"}, []string{"question is empty"}},
		{"no question", exitUsage, []string{"-c", "x"}, []string{"-q"}},
		{"two texts", exitUsage, []string{"-q", "x", "-c", "x", "-f", "x"}, []string{"either"}},
		{"no room", exitFailed, []string{"-q", strings.Repeat("why ", 300), "-c", "x"}, []string{"no room"}},
		{"no such file", exitFailed, []string{"-q", "x", "-f", "nowhere.txt"}, []string{"nowhere.txt"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fails(t, tt.code, tt.texts, append([]string{"answer", "--model", model}, tt.args...)...)
		})
	}
}

func TestEmbedCommand(t *testing.T) {
	model := models + "/tiny-bert"
	out := succeed(t, "", "embed", "a cat", "a stone", "--json", "--model", model)
	var got []struct {
		Text      string
		Embedding []float64
	}
	for line := range strings.Lines(out) {
		var one struct {
			Text      string
			Embedding []float64
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		got = append(got, one)
	}
	if len(got) != 2 || len(got[0].Embedding) != 64 || got[1].Text != "a stone" {
		t.Fatalf("got %+v", got)
	}
	length := 0.0
	for _, v := range got[0].Embedding {
		length += v * v
	}
	if math.Abs(length-1) > 1e-5 {
		t.Errorf("the vector has the length %v", math.Sqrt(length))
	}
	npy := succeed(t, "a cat\n\na stone\n", "embed", "-", "--format", "npy", "--model", model)
	head := int(npy[8]) | int(npy[9])<<8
	if !strings.HasPrefix(npy, "\x93NUMPY\x01\x00") || (10+head)%64 != 0 || !strings.Contains(npy[:10+head], "(2, 64)") || len(npy) != 10+head+2*64*4 {
		t.Errorf("the file has %d bytes, header %q", len(npy), npy[:min(len(npy), 10+head)])
	}
	first := math.Float32frombits(binary.LittleEndian.Uint32([]byte(npy[10+head:])))
	if math.Abs(float64(first)-got[0].Embedding[0]) > 1e-6 {
		t.Errorf("the file starts with %v, want %v", first, got[0].Embedding[0])
	}
	if out := succeed(t, "", "embed", "a cat", "a cat", "--similarity", "--model", model); strings.Count(out, "1.000000") != 4 {
		t.Errorf("equal texts: %s", out)
	}
	fails(t, exitFailed, []string{"no text"}, "embed", "-", "--model", model)
	fails(t, exitUsage, []string{"--format"}, "embed", "x", "--format", "xml", "--model", model)
}

// TestWrongKind names the command that a model belongs to.
func TestWrongKind(t *testing.T) {
	for _, tt := range []struct {
		model, command string
		args           []string
	}{
		{"tiny-llama", "generate", []string{"classify", images}},
		{"tiny-vit", "classify", []string{"generate", "x"}},
		{"tiny-whisper", "transcribe", []string{"answer", "-q", "x", "-c", "y"}},
		{"tiny-bert", "embed", []string{"transcribe", sounds + "/tiny-0.wav"}},
		{"tiny-distilbert-qa", "answer", []string{"chat"}},
	} {
		fails(t, exitFailed, []string{tt.model, "use emily " + tt.command}, append(tt.args, "--model", filepath.Join(models, tt.model))...)
	}
}

// TestClassifyTokens labels the words of a text with a model of one of arch's test classes.
func TestClassifyTokens(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../arch/testdata/classes/BertForTokenClassification")); err != nil {
		t.Fatal(err)
	}
	tok, err := os.ReadFile(models + "/tiny-bert/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), tok, 0o644); err != nil {
		t.Fatal(err)
	}
	out := succeed(t, "", "classify", "--text", "a b", "--model", dir, "--json")
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var got labelledToken
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if want := string("ab"[i]); got.Token != want || got.Start != 2*i || got.Label == "" || got.Score <= 0 || got.Score > 1 {
			t.Errorf("token %d: got %+v, want %s", i, got, want)
		}
	}
	if strings.Count(out, "\n") != 2 {
		t.Errorf("two words give %q", out)
	}
}
