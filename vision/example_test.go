package vision_test

import (
	"fmt"
	"log"
	"os"

	"emily/vision"
)

// A classifier's input from an image file and the checkpoint's configuration.
func ExampleProcessor() {
	config := []byte(`{"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 48}}`)
	processor, err := vision.LoadProcessor(config)
	if err != nil {
		log.Fatal(err)
	}
	f, err := os.Open("testdata/3-rgba-64x50.png")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	image, err := vision.Decode(f, vision.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	h, w := processor.Size()
	pixels := make([]float32, 3*h*w)
	if err := processor.Pixels(pixels, image); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d x %d pixels -> [3 %d %d]\n", image.Width, image.Height, h, w)
	// Output: 64 x 50 pixels -> [3 48 48]
}

func ExampleResize() {
	red := vision.NewImage(640, 480)
	for i := 0; i < len(red.Pix); i += 3 {
		red.Pix[i] = 255
	}
	small, err := vision.Resize(red, 64, 48, vision.Bicubic)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(small.Width, small.Height, small.Pix[:3])
	// Output: 64 48 [255 0 0]
}
