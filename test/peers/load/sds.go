package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// runSDS opens the streams, acknowledges everything, and serves the commands of standard input.
func runSDS(ctx context.Context, o options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conns, closeAll, err := dial(ctx, o)
	defer closeAll()
	if err != nil {
		return err
	}
	f := &fleet{ctx: ctx, o: o}
	first := f.begin("", o.streams)
	contexts := callContexts(ctx, o.tokens)
	var wait sync.WaitGroup
	openers := make(chan struct{}, openAtOnce)
	for i := range o.streams {
		openers <- struct{}{}
		wait.Go(func() { f.follow(contexts[i%len(contexts)], conns[i%len(conns)], i, func() { <-openers }) })
	}
	f.report("ready", first)
	for command := range commands(ctx) {
		words := strings.Fields(command)
		if len(words) == 0 || words[0] != "mark" {
			return fmt.Errorf("unknown command %q", command)
		}
		want := ""
		if len(words) > 1 {
			want = words[1]
		}
		m := f.begin(want, o.streams)
		emit("marked", fields{})
		f.report("acked", m)
	}
	cancel()
	wait.Wait()
	return nil
}

// commands are the lines of standard input, up to its end or the end of ctx, which a blocked read does not see.
func commands(ctx context.Context) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(os.Stdin)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	answer := make(chan string)
	go func() {
		defer close(answer)
		for {
			select {
			case line, more := <-lines:
				if !more {
					return
				}
				answer <- line
			case <-ctx.Done():
				return
			}
		}
	}()
	return answer
}

// openAtOnce bounds how many streams wait for their first response at the same time.
const openAtOnce = 256

// fleet is all streams of one program.
type fleet struct {
	ctx       context.Context
	o         options
	mark      atomic.Pointer[mark]
	ended     atomic.Int64
	responses atomic.Int64
	firstEnd  sync.Once
}

// mark waits until every stream has acknowledged something newer than itself.
type mark struct {
	begin   time.Time
	want    string
	mu      sync.Mutex
	tally   tally
	pending int
	done    chan struct{}
}

func (f *fleet) begin(want string, pending int) *mark {
	m := &mark{begin: time.Now(), want: want, pending: pending, done: make(chan struct{})}
	f.mark.Store(m)
	return m
}

func (f *fleet) report(event string, m *mark) {
	select {
	case <-m.done:
	case <-f.ctx.Done():
		event = "interrupted"
	case <-time.After(f.o.timeout):
		event = "timeout"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	total := mergeTallies([]tally{m.tally})
	emit(event, fields{
		"streams": f.o.streams, "acked": total.calls, "ended": f.ended.Load(), "responses": f.responses.Load(),
		"seconds": total.last.Sub(m.begin).Seconds(), "p50_ms": total.percentile(0.50), "p99_ms": total.percentile(0.99),
	})
}

func (m *mark) acknowledge() {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tally.add(now, now.Sub(m.begin), 1, 0, "")
	if m.pending--; m.pending == 0 {
		close(m.done)
	}
}

var streamDescription = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// follow runs one stream to its end. opened is called once, at its first response or its end.
func (f *fleet) follow(ctx context.Context, conn *grpc.ClientConn, index int, opened func()) {
	open := sync.OnceFunc(opened)
	err := f.stream(ctx, conn, index, open)
	open()
	if ctx.Err() != nil {
		return
	}
	f.ended.Add(1)
	f.firstEnd.Do(func() { emit("stream-ended", fields{"message": err.Error()}) })
}

func (f *fleet) stream(ctx context.Context, conn *grpc.ClientConn, index int, open func()) error {
	protocol := sotw
	if f.o.delta {
		protocol = delta
	}
	stream, err := conn.NewStream(ctx, streamDescription, protocol.method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(protocol.subscribe(f.o, index)); err != nil {
		return err
	}
	var acknowledged *mark
	var reply []byte
	for {
		if err := stream.RecvMsg(&reply); err != nil {
			return err
		}
		version, nonce := protocol.read(reply)
		if err := stream.SendMsg(protocol.acknowledge(f.o, version, nonce)); err != nil {
			return err
		}
		f.responses.Add(1)
		open()
		if m := f.mark.Load(); m != acknowledged && (m.want == "" || m.want == version) {
			acknowledged = m
			m.acknowledge()
		}
	}
}
