package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const subscribeMethod = "/assay.v1.Identity/Subscribe"

// runSubscribe opens a subscription for each token. When one ends, it asks for a renewal at once. The marks of standard input
// answer {"event":"parted"} when the last of those was answered.
func runSubscribe(ctx context.Context, o options) error {
	conns, closeAll, err := dial(ctx, o)
	defer closeAll()
	if err != nil {
		return err
	}
	// Made before: keys are no part of what is measured.
	renewal := o
	renewal.mode = "issue-x509"
	requests, err := makeRequests(renewal, len(o.tokens))
	if err != nil {
		return err
	}
	c := &crowd{pending: len(o.tokens), outcomes: map[string]int{}, gone: make(chan struct{})}
	var ready sync.WaitGroup
	for i, callContext := range callContexts(ctx, o.tokens) {
		ready.Add(1)
		go func() {
			s := subscriber{ctx: callContext, conn: conns[i%len(conns)], renewal: requests[i].body}
			c.part(s.live(sync.OnceFunc(ready.Done)))
		}()
	}
	if err := waitAtMost(o.timeout, ready.Wait); err != nil {
		return err
	}
	emit("ready", fields{"streams": len(o.tokens)})
	for command := range commands(ctx) {
		if strings.TrimSpace(command) != "mark" {
			return fmt.Errorf("unknown command %q", command)
		}
		begin := time.Now()
		emit("marked", fields{})
		if err := waitAtMost(o.timeout, func() { <-c.gone }); err != nil {
			return err
		}
		emit("parted", fields{"seconds": c.last.Sub(begin).Seconds(), "outcomes": c.outcomes})
	}
	return nil
}

func waitAtMost(timeout time.Duration, wait func()) error {
	done := make(chan struct{})
	go func() {
		wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("not within %s", timeout)
	}
}

// crowd counts how many went in which way; last and outcomes are read once all have gone.
type crowd struct {
	mu       sync.Mutex
	pending  int
	outcomes map[string]int
	last     time.Time
	gone     chan struct{}
}

func (c *crowd) part(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[outcome]++
	c.last = time.Now()
	if c.pending--; c.pending == 0 {
		close(c.gone)
	}
}

type subscriber struct {
	ctx     context.Context
	conn    *grpc.ClientConn
	renewal []byte
}

// live answers how it went: "evicted", if it was told so, why its stream ended, and why its renewal was refused.
func (s subscriber) live(ready func()) string {
	evicted, ended := s.follow(ready)
	ready()
	var reply []byte
	renewed := reasonOf(s.conn.Invoke(s.ctx, methods["issue-x509"], s.renewal, &reply))
	if evicted {
		return "evicted " + ended + " " + renewed
	}
	return ended + " " + renewed
}

// SubscribeRequest: 1 hello (Hello: 1 agent, 2 version). SubscribeResponse: 1 snapshot, 2 directive (Directive: 2 evict).
func (s subscriber) follow(ready func()) (evicted bool, ended string) {
	stream, err := s.conn.NewStream(s.ctx, streamDescription, subscribeMethod)
	if err != nil {
		return false, reasonOf(err)
	}
	hello := appendField(appendField(nil, 1, []byte("crowd")), 2, []byte("1"))
	if err := stream.SendMsg(appendField(nil, 1, hello)); err != nil {
		return false, reasonOf(err)
	}
	var reply []byte
	for {
		if err := stream.RecvMsg(&reply); err != nil {
			return evicted, reasonOf(err)
		}
		eachField(reply, func(number protowire.Number, message []byte) {
			if number == 1 {
				ready()
				return
			}
			eachField(message, func(directive protowire.Number, _ []byte) { evicted = evicted || directive == 2 })
		})
	}
}

// reasonOf is the reason of google.rpc.ErrorInfo (its field 1), else the error itself.
func reasonOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, detail := range status.Convert(err).Proto().GetDetails() {
		if strings.HasSuffix(detail.GetTypeUrl(), "google.rpc.ErrorInfo") {
			reason, _ := readFields(detail.GetValue(), 1, 2)
			return reason
		}
	}
	return err.Error()
}
