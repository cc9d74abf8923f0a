package whisper

import "emily/arch"

// span is a segment of a window before it has times and text: tokens, and
// positions of the encoder (two frames each) from the window's start.
type span struct {
	ids        []int32
	start, end int
}

// cut divides the text of a window that has so many frames of sound into
// segments, at pairs of timestamps, and returns the frames by which the next
// window starts later (Radford et al. 2022, section 3.8).
//
// What follows the last pair is cut off in the middle by the window's end: it
// is dropped, and the next window starts there. A single timestamp at the end
// says that nothing was cut off.
func (s *special) cut(ids []int32, frames int) (spans []span, advance int) {
	stamp := func(i int) bool { return i >= 0 && i < len(ids) && ids[i] >= s.instant }
	position := func(i int) int { return int(ids[i] - s.instant) }
	var ends []int // of segments: the index after their last token
	for i := range ids {
		if stamp(i) && stamp(i-1) {
			ends = append(ends, i)
		}
	}
	if len(ends) == 0 {
		end := frames / 2
		for i := range ids {
			if stamp(i) && position(i) > 0 {
				end = position(i)
			}
		}
		return []span{{ids, 0, end}}, frames
	}
	last := len(ids) - 1
	complete := stamp(last) && !stamp(last-1)
	if complete {
		ends = append(ends, len(ids))
	}
	from := 0
	for _, to := range ends {
		spans = append(spans, span{ids[from:to], position(from), position(to - 1)})
		from = to
	}
	if complete {
		return spans, frames
	}
	return spans, 2 * position(from-1)
}

// segments gives spans times and text. offset is the frame at which the window starts.
func (t *transcription) segments(spans []span, offset int, d decoded) []arch.Segment {
	var list []arch.Segment
	for _, s := range spans {
		text := t.text(s.ids)
		list = append(list, arch.Segment{
			Start: t.seconds(offset + 2*s.start), End: t.seconds(offset + 2*s.end), Text: text, Tokens: s.ids, Quality: d.quality,
		})
	}
	return list
}

// seconds is the time of a frame.
func (t *transcription) seconds(frame int) float64 {
	return float64(frame*t.featurizer.Hop()) / sampleRate
}
