package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// runIssue keeps -in-flight calls running and prints what the ones within the measured time did.
func runIssue(ctx context.Context, o options) error {
	prepared := time.Now()
	requests, err := prepareRequests(o)
	if err != nil {
		return err
	}
	conns, closeAll, err := dial(ctx, o)
	defer closeAll()
	if err != nil {
		return err
	}
	if o.mode == "spire" {
		if err := awaitSpireEntry(ctx, o, conns[0]); err != nil {
			return err
		}
	}
	preparation := time.Since(prepared)
	l := &load{o: o, requests: requests, contexts: callContexts(ctx, o.tokens)}
	l.from = time.Now().Add(o.warmup)
	l.until = l.from.Add(o.duration)
	tallies := make([]tally, o.inFlight)
	var wait sync.WaitGroup
	for i := range tallies {
		wait.Go(func() { l.work(ctx, conns[i%len(conns)], &tallies[i]) })
	}
	wait.Wait()
	total := mergeTallies(tallies)
	seconds := o.duration.Seconds()
	if l.exhausted.Load() {
		// The time that was really measured: up to the last call that ended.
		seconds = total.last.Sub(l.from).Seconds()
	}
	if total.calls == 0 {
		return fmt.Errorf("no call ended within the measured time; first error: %s", total.firstError)
	}
	emit("result", fields{
		"mode": o.mode, "in_flight": o.inFlight, "conns": o.conns, "count": total.issued, "calls": total.calls,
		"errors": total.errors, "first_error": total.firstError, "seconds": seconds,
		"per_second": float64(total.issued) / seconds, "p50_ms": total.percentile(0.50), "p99_ms": total.percentile(0.99),
		"max_ms": total.percentile(1), "keys_exhausted": l.exhausted.Load(), "preparation_seconds": preparation.Seconds(),
	})
	return nil
}

func prepareRequests(o options) ([]request, error) {
	if o.mode == "issue-jwt" {
		requests := make([]request, len(o.tokens))
		for i := range requests {
			requests[i] = request{body: encodeJWT(o), token: i}
		}
		return requests, nil
	}
	keys := o.keys
	if keys == 0 {
		keys = int(12_000 * (o.duration + o.warmup).Seconds())
	}
	if o.mode == "batch-x509" || o.mode == "spire" {
		keys = (keys + o.batch - 1) / o.batch
	}
	if o.mode == "spire" {
		return makeSpireRequests(o, keys)
	}
	return makeRequests(o, keys)
}

type load struct {
	o           options
	requests    []request
	contexts    []context.Context
	next        atomic.Int64
	from, until time.Time
	exhausted   atomic.Bool
}

var methods = map[string]string{
	"issue-x509": "/assay.v1.Identity/IssueX509",
	"batch-x509": "/assay.v1.Identity/BatchIssueX509",
	"issue-jwt":  "/assay.v1.Identity/IssueJwt",
	"spire":      "/spire.api.server.svid.v1.SVID/BatchNewX509SVID",
}

func (l *load) work(ctx context.Context, conn *grpc.ClientConn, t *tally) {
	var reply []byte
	for ctx.Err() == nil {
		request, ok := l.take()
		if !ok {
			return
		}
		begin := time.Now()
		if begin.After(l.until) {
			return
		}
		err := conn.Invoke(l.contexts[request.token], methods[l.o.mode], request.body, &reply)
		end := time.Now()
		if end.Before(l.from) || end.After(l.until) {
			continue
		}
		issued, problems, first := 0, 1, ""
		if err == nil {
			issued, problems, first = judge(l.o.mode, reply)
		} else {
			first = err.Error()
		}
		t.add(end, end.Sub(begin), issued, problems, first)
	}
}

// take gives each X.509 request once: a key that comes twice would be answered from the idempotency record.
func (l *load) take() (request, bool) {
	i := l.next.Add(1) - 1
	if l.o.mode == "issue-jwt" {
		return l.requests[i%int64(len(l.requests))], true
	}
	if i >= int64(len(l.requests)) {
		l.exhausted.Store(true)
		return request{}, false
	}
	return l.requests[i], true
}

// judge counts what a reply holds: chains or tokens issued, and problems.
func judge(mode string, reply []byte) (issued, problems int, first string) {
	const issuedField, problemField, payloadField, messageField = 1, 2, 2, 2
	if mode == "spire" {
		return judgeSpire(reply)
	}
	if mode != "batch-x509" {
		ok := eachField(reply, func(number protowire.Number, value []byte) {
			if number == payloadField && len(value) > 0 {
				issued = 1
			}
		})
		if !ok || issued == 0 {
			return 0, 1, "the reply holds nothing"
		}
		return issued, 0, ""
	}
	eachField(reply, func(number protowire.Number, result []byte) {
		if number != 1 {
			return
		}
		eachField(result, func(number protowire.Number, value []byte) {
			switch number {
			case issuedField:
				issued++
			case problemField:
				problems++
				eachField(value, func(number protowire.Number, text []byte) {
					if number == messageField {
						first = string(text)
					}
				})
			}
		})
	})
	return issued, problems, first
}
