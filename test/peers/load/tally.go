package main

import (
	"slices"
	"time"
)

// tally is what one worker saw; it is not shared.
type tally struct {
	calls, issued, errors int
	firstError            string
	latencies             []time.Duration
	last                  time.Time
}

func (t *tally) add(end time.Time, latency time.Duration, issued, errors int, first string) {
	t.calls++
	t.issued += issued
	t.errors += errors
	t.latencies = append(t.latencies, latency)
	t.last = end
	if t.firstError == "" {
		t.firstError = first
	}
}

func mergeTallies(tallies []tally) tally {
	var total tally
	for _, t := range tallies {
		total.calls += t.calls
		total.issued += t.issued
		total.errors += t.errors
		total.latencies = append(total.latencies, t.latencies...)
		if t.last.After(total.last) {
			total.last = t.last
		}
		if total.firstError == "" {
			total.firstError = t.firstError
		}
	}
	slices.Sort(total.latencies)
	return total
}

// percentile is in milliseconds; the latencies must be sorted.
func (t *tally) percentile(share float64) float64 {
	if len(t.latencies) == 0 {
		return 0
	}
	index := int(share*float64(len(t.latencies))+0.5) - 1
	return t.latencies[max(0, min(index, len(t.latencies)-1))].Seconds() * 1000
}
