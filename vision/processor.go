package vision

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A Processor turns images into a model's input as preprocessor_config.json describes: resize,
// centre crop, rescale, normalise. It is immutable and may be used by several goroutines.
type Processor struct {
	resize        bool
	height, width int // size to resize to, or
	shortest      int // length of the shorter side after resizing
	filter        Filter
	crop          bool
	cropH, cropW  int
	table         [3][256]float32 // 8-bit value -> rescaled, normalised
}

// processorConfig is preprocessor_config.json. A nil field takes the default of the
// processor's class.
type processorConfig struct {
	ImageProcessorType   string   `json:"image_processor_type"`
	FeatureExtractorType string   `json:"feature_extractor_type"`
	DoResize             *bool    `json:"do_resize"`
	Size                 *size    `json:"size"`
	Resample             *Filter  `json:"resample"`
	DoCenterCrop         *bool    `json:"do_center_crop"`
	CropSize             *size    `json:"crop_size"`
	DoRescale            *bool    `json:"do_rescale"`
	RescaleFactor        *float64 `json:"rescale_factor"`
	DoNormalize          *bool    `json:"do_normalize"`
	ImageMean            channels `json:"image_mean"`
	ImageStd             channels `json:"image_std"`
	DoPad                bool     `json:"do_pad"`
}

// size is a number or an object with height and width, or with shortest_edge.
type size struct {
	Height       int `json:"height"`
	Width        int `json:"width"`
	ShortestEdge int `json:"shortest_edge"`
	LongestEdge  int `json:"longest_edge"`
}

func (s *size) UnmarshalJSON(b []byte) error {
	var side int
	var sides []int
	switch {
	case json.Unmarshal(b, &side) == nil:
		*s = size{Height: side, Width: side}
		return nil
	case json.Unmarshal(b, &sides) == nil && len(sides) == 2:
		*s = size{Height: sides[0], Width: sides[1]}
		return nil
	}
	type fields size
	return json.Unmarshal(b, (*fields)(s))
}

// channels is one number for each of red, green and blue, or one for all.
type channels []float64

func (c *channels) UnmarshalJSON(b []byte) error {
	var one float64
	if json.Unmarshal(b, &one) == nil && string(b) != "null" {
		*c = channels{one, one, one}
		return nil
	}
	return json.Unmarshal(b, (*[]float64)(c))
}

// classDefaults are the values that transformers' classes start from.
var classDefaults = map[string]struct {
	size   int
	filter Filter
	crop   int
}{
	"ViT":  {224, Bilinear, 0},
	"DeiT": {256, Bicubic, 224},
}

// maxSide bounds the sizes that a configuration may ask for.
const maxSide = 1 << 14

// LoadProcessor reads the contents of a preprocessor_config.json for a ViT or DeiT image
// processor, old or new, slow or fast. Fields that are absent take the defaults of
// transformers. Images are converted to RGB whatever do_convert_rgb says.
func LoadProcessor(config []byte) (*Processor, error) {
	var c processorConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("preprocessor_config.json: %w", err)
	}
	p, err := c.processor()
	if err != nil {
		return nil, fmt.Errorf("preprocessor_config.json: %w", err)
	}
	return p, nil
}

func (c *processorConfig) processor() (*Processor, error) {
	class, err := c.class()
	if err != nil {
		return nil, err
	}
	d := classDefaults[class]
	if c.DoPad {
		return nil, errors.New("do_pad is not supported")
	}
	p := &Processor{
		resize: value(c.DoResize, true),
		filter: value(c.Resample, d.filter),
		crop:   value(c.DoCenterCrop, d.crop > 0),
	}
	s := value(c.Size, size{Height: d.size, Width: d.size})
	p.height, p.width, p.shortest = s.Height, s.Width, s.ShortestEdge
	crop := value(c.CropSize, size{Height: d.crop, Width: d.crop})
	p.cropH, p.cropW = crop.Height, crop.Width
	switch {
	case !p.filter.valid():
		return nil, fmt.Errorf("resample is %d, want 0 to %d", int(p.filter), len(filters)-1)
	case p.crop && !sides(p.cropH, p.cropW):
		return nil, fmt.Errorf("crop_size is %d x %d, want height and width of 1 to %d", p.cropH, p.cropW, maxSide)
	case s.LongestEdge != 0:
		return nil, errors.New("size has longest_edge, which is not supported: want height and width, or shortest_edge")
	case p.resize && p.shortest != 0 && (!sides(p.shortest, p.shortest) || p.height != 0 || p.width != 0):
		return nil, fmt.Errorf("size is %d x %d with shortest_edge %d: want one of both", p.height, p.width, p.shortest)
	case p.resize && p.shortest == 0 && !sides(p.height, p.width):
		return nil, fmt.Errorf("size is %d x %d, want height and width of 1 to %d", p.height, p.width, maxSide)
	case !p.crop && (!p.resize || p.shortest != 0):
		return nil, errors.New("neither size nor crop_size fixes the shape of the input: set do_resize with height and width, or do_center_crop")
	}
	return p, c.fillTable(p)
}

// class returns the key of classDefaults for the configuration's class name. Files from before
// the field existed are ViT's.
func (c *processorConfig) class() (string, error) {
	name := c.ImageProcessorType
	if name == "" {
		name = c.FeatureExtractorType
	}
	if name == "" {
		return "ViT", nil
	}
	class := strings.TrimSuffix(strings.TrimSuffix(name, "Fast"), "Pil")
	for _, suffix := range []string{"ImageProcessor", "FeatureExtractor"} {
		if c, ok := strings.CutSuffix(class, suffix); ok {
			if _, known := classDefaults[c]; known {
				return c, nil
			}
		}
	}
	return "", fmt.Errorf("image processor %q is not supported: want ViTImageProcessor or DeiTImageProcessor", name)
}

// fillTable computes the float of each of the 256 values for each channel, with the roundings
// of transformers: the product in f64, the rest in f32.
func (c *processorConfig) fillTable(p *Processor) error {
	mean, std := c.ImageMean, c.ImageStd
	if mean == nil {
		mean = channels{0.5, 0.5, 0.5}
	}
	if std == nil {
		std = channels{0.5, 0.5, 0.5}
	}
	if len(mean) != 3 || len(std) != 3 {
		return fmt.Errorf("image_mean has %d and image_std %d values, want 3 each (red, green, blue)", len(mean), len(std))
	}
	scale := value(c.RescaleFactor, 1.0/255)
	for ch := range p.table {
		m, s := float32(mean[ch]), float32(std[ch])
		if s == 0 {
			return errors.New("image_std has a zero")
		}
		for v := range p.table[ch] {
			x := float32(v)
			if value(c.DoRescale, true) {
				x = float32(float64(v) * scale)
			}
			if value(c.DoNormalize, true) {
				x = (x - m) / s
			}
			p.table[ch][v] = x
		}
	}
	return nil
}

func value[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}

func sides(h, w int) bool { return h > 0 && w > 0 && h <= maxSide && w <= maxSide }

// Size returns the height and width of the tensor that Pixels fills.
func (p *Processor) Size() (height, width int) {
	if p.crop {
		return p.cropH, p.cropW
	}
	return p.height, p.width
}

// Pixels writes the model's input to dst, [3, height, width] in row-major order with red
// first. dst must have exactly that many elements.
func (p *Processor) Pixels(dst []float32, m *Image) error {
	h, w := p.Size()
	if len(dst) != 3*h*w {
		return fmt.Errorf("pixel buffer has %d elements, want 3 x %d x %d", len(dst), h, w)
	}
	if err := m.valid(); err != nil {
		return err
	}
	if p.resize {
		rh, rw, err := p.resized(m)
		if err != nil {
			return err
		}
		if m, err = Resize(m, rw, rh, p.filter); err != nil {
			return err
		}
	}
	// Crop about the centre; where the image is smaller, black surrounds it.
	top, left := (m.Height-h)>>1, (m.Width-w)>>1 // rounded down
	for ch := range p.table {
		table, plane := &p.table[ch], dst[ch*h*w:(ch+1)*h*w]
		for y := range h {
			out := plane[y*w : (y+1)*w]
			if top+y < 0 || top+y >= m.Height {
				fillWith(out, table[0])
				continue
			}
			first, last := max(0, -left), min(w, m.Width-left)
			fillWith(out[:first], table[0])
			fillWith(out[last:], table[0])
			src := m.row(top + y)[(left+first)*3+ch:]
			for x := range out[first:last] {
				out[first+x] = table[src[3*x]]
			}
		}
	}
	return nil
}

// resized returns the height and width to resize m to.
func (p *Processor) resized(m *Image) (h, w int, err error) {
	if p.shortest == 0 {
		return p.height, p.width, nil
	}
	short, long := min(m.Height, m.Width), max(m.Height, m.Width)
	longer := p.shortest * long / short
	if longer > maxSide {
		return 0, 0, fmt.Errorf("an image of %d x %d pixels is too narrow: its longer side would become %d", m.Width, m.Height, longer)
	}
	if m.Width <= m.Height {
		return longer, p.shortest, nil
	}
	return p.shortest, longer, nil
}

func fillWith(dst []float32, v float32) {
	for i := range dst {
		dst[i] = v
	}
}
