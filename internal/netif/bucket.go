package netif

import "time"

// The rate limit of each interface, so that hundreds of addresses do not flood
// switches that police ARP: frameBurst frames at once, framesPerSecond on
// average. First frames go before repeats, so 500 addresses are all announced
// at once and only their repeats are stretched.
const (
	framesPerSecond = 2000
	frameBurst      = 500
)

// bucket is the rate limit of one interface.
type bucket struct {
	tokens float64
	filled time.Time
}

func (k *bucket) fill(now time.Time) {
	if !k.filled.IsZero() {
		k.tokens = min(frameBurst, k.tokens+now.Sub(k.filled).Seconds()*framesPerSecond)
	}
	k.filled = now
}

// take takes the right to send one frame, if there is one.
func (k *bucket) take(now time.Time) bool {
	k.fill(now)
	if k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}

// next is when take will succeed.
func (k *bucket) next(now time.Time) time.Time {
	k.fill(now)
	if k.tokens >= 1 {
		return now
	}
	return now.Add(time.Duration((1 - k.tokens) / framesPerSecond * float64(time.Second)))
}
