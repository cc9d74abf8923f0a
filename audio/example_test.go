package audio_test

import (
	"fmt"
	"io"
	"log"
	"os"

	"emily/audio"
)

// Sound of any format and rate as mono samples at 16 kHz.
func ExampleOpen() {
	f, err := os.Open("testdata/stereo44100.mp3")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	sound, err := audio.Open(f)
	if err != nil {
		log.Fatal(err)
	}
	samples, buf := 0, make([]float32, 1024)
	for {
		n, err := sound.Read(buf)
		samples += n
		if err == io.EOF {
			break
		}
		if err != nil { // errors.Is(err, audio.ErrIncomplete): the samples so far are good
			log.Fatal(err)
		}
	}
	info := sound.Info()
	fmt.Printf("%s, %d Hz, %d channels -> %d samples\n", info.Format, info.Rate, info.Channels, samples)
	// Output: MP3, 44100 Hz, 2 channels -> 4000 samples
}

// Sound that fits one window is padded with silence.
func ExampleFeaturizer_Window() {
	f, err := os.Open("testdata/librivox-0880.wav")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	sound, err := audio.Open(f)
	if err != nil {
		log.Fatal(err)
	}
	featurizer, err := audio.LoadFeaturizer([]byte(`{"feature_size": 80, "chunk_length": 30}`))
	if err != nil {
		log.Fatal(err)
	}
	samples := make([]float32, featurizer.Samples())
	n, err := sound.Read(samples) // less than asked for: the sound ends
	if err != nil {
		log.Fatal(err)
	}
	mels, frames := featurizer.Shape()
	features := make([]float32, mels*frames)
	if err := featurizer.Window(features, samples[:n]); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.2f s -> [%d %d]\n", float64(n)/audio.Rate, mels, frames)
	// Output: 2.99 s -> [80 3000]
}

// Longer sound takes two passes: the first finds the loudest value, the second cuts
// windows where the caller wants them.
func ExampleFeaturizer_Windows() {
	f, err := os.Open("testdata/librivox-0880.wav")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	featurizer, err := audio.LoadFeaturizer([]byte(`{"chunk_length": 2}`))
	if err != nil {
		log.Fatal(err)
	}
	sound, err := audio.Open(f)
	if err != nil {
		log.Fatal(err)
	}
	peak, total, err := featurizer.Peak(sound)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		log.Fatal(err)
	}
	if sound, err = audio.Open(f); err != nil {
		log.Fatal(err)
	}
	windows := featurizer.Windows(sound, peak)
	mels, frames := featurizer.Shape()
	features := make([]float32, mels*frames)
	for seek := 0; ; seek += 150 {
		n, err := windows.At(features, seek)
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("frame %d: %d of %d\n", seek, n, total)
	}
	// Output:
	// frame 0: 200 of 299
	// frame 150: 149 of 299
}
