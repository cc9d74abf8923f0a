package main

import (
	"fmt"
	"sync"
	"time"
)

// meter counts bytes of a transfer and knows its rate.
type meter struct {
	now func() time.Time

	mu       sync.Mutex
	all, got int64
	moved    int64 // by us: without what was there before
	begun    time.Time
	recent   []mark // of the last seconds, oldest first
}

// mark is how many bytes had moved at a time.
type mark struct {
	at    time.Time
	moved int64
}

// rateOver is how far back the rate looks.
const rateOver = 10 * time.Second

// extend adds bytes to transfer, of which some are there.
func (m *meter) extend(size, have int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all += size
	m.got += have
	if m.begun.IsZero() {
		m.begun = m.now()
		m.recent = []mark{{m.begun, 0}}
	}
}

// add counts bytes that came, or were useless if they are negative.
func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got += n
	m.moved += max(n, 0)
	now := m.now()
	if last := m.recent[len(m.recent)-1].at; now.Sub(last) >= rateOver/50 {
		m.recent = append(m.recent, mark{now, m.moved})
	}
	for len(m.recent) > 2 && now.Sub(m.recent[1].at) > rateOver {
		m.recent = m.recent[1:]
	}
}

func (m *meter) size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all
}

func (m *meter) current() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got
}

// rate returns bytes per second over the last seconds.
func (m *meter) rate() float64 {
	first := m.recent[0]
	seconds := m.now().Sub(first.at).Seconds()
	if seconds < 0.1 {
		return 0
	}
	return float64(m.moved-first.moved) / seconds
}

// String tells what is done, the rate and the time that remains, or what was
// done and how long it took.
func (m *meter) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun.IsZero() {
		return size(0)
	}
	if m.got >= m.all {
		took := m.now().Sub(m.begun)
		text := fmt.Sprintf("%s in %s", size(m.all), duration(took))
		if s := took.Seconds(); s > 0.1 {
			text += fmt.Sprintf(", %s/s", size(int64(float64(m.moved)/s)))
		}
		return text
	}
	text := fmt.Sprintf("%s of %s", size(m.got), size(m.all))
	rate := m.rate()
	if rate < 1 {
		return text
	}
	left := time.Duration(float64(m.all-m.got) / rate * float64(time.Second))
	return fmt.Sprintf("%s, %s/s, %s left", text, size(int64(rate)), duration(left))
}

// summary tells what was done when nothing more comes.
func (m *meter) summary() string {
	if got, all := m.current(), m.size(); got < all {
		return fmt.Sprintf("downloaded %s of %s", size(got), size(all))
	}
	return "downloaded " + m.String()
}

// duration prints a time that a person waits: 45 s, 3 min 20 s, 2 h 5 min.
func duration(d time.Duration) string {
	switch s := int64(d.Round(time.Second).Seconds()); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 100*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return "days"
}
