// Command load is the client side of the benchmark: it costs the server's machine as little as it can.
//
//	load -mode issue-x509  -target 127.0.0.1:8443 -ca ca.pem -tokens tokens.txt -in-flight 64 -conns 4 -duration 5s
//	load -mode batch-x509  ... -batch 16
//	load -mode issue-jwt   ... -audience test
//	load -mode form        -target https://127.0.0.1:8444/token -ca ca.pem -forms forms.txt -in-flight 64 -conns 64
//	load -mode spire       -target 127.0.0.1:8081 -ca ca.pem -join-token … -entry … -batch 1 -in-flight 64 -conns 4
//	load -mode sds         -target unix:///run/agent.sock -streams 10000 -conns 20 -names default,ROOTCA
//	load -mode subscribe   -target 127.0.0.1:8443 -ca ca.pem -tokens tokens.txt -conns 10
//
// The issue modes, spire and form print one line, {"event":"result",...}. Mode sds prints {"event":"ready"} once every stream has
// acknowledged a first response, then reads commands from standard input: "mark" answers {"event":"acked"} once every
// stream has acknowledged a response that came after the mark, "mark <version>" once each has acknowledged that version;
// the end of the input ends the program. Mode subscribe has a stream for each token, prints {"event":"ready"} once each has a
// snapshot, and answers "mark" with {"event":"parted"} once each has ended and a renewal of each was answered.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type options struct {
	mode, target, ca, serverName, tokensFile string
	formsFile, joinToken, entry              string
	conns, inFlight, batch, keys, streams    int
	duration, warmup, timeout                time.Duration
	audience, names, nodeMetadata            string
	itemTokens, delta                        bool
	tokens                                   []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		emit("error", fields{"message": err.Error()})
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o, err := parseOptions()
	if err != nil {
		return err
	}
	switch o.mode {
	case "issue-x509", "batch-x509", "issue-jwt", "spire":
		return runIssue(ctx, o)
	case "form":
		return runForm(ctx, o)
	case "subscribe":
		return runSubscribe(ctx, o)
	case "sds":
		return runSDS(ctx, o)
	default:
		return fmt.Errorf("unknown mode %q", o.mode)
	}
}

func parseOptions() (options, error) {
	var o options
	flag.StringVar(&o.mode, "mode", "", "issue-x509, batch-x509, issue-jwt, spire, form, sds or subscribe")
	flag.StringVar(&o.target, "target", "", "host:port (TLS) or unix:///path (plain); in mode form the URL")
	flag.StringVar(&o.ca, "ca", "", "PEM file of the authorities that the server's certificate is verified with")
	flag.StringVar(&o.serverName, "server-name", "", "name in the server's certificate; default: the host of the target")
	flag.StringVar(&o.tokensFile, "tokens", "", "file with one bearer token a line; calls take them in turn")
	flag.StringVar(&o.formsFile, "forms", "", "file of mode form with one encoded form a line; calls take them in turn")
	flag.StringVar(&o.joinToken, "join-token", "", "join token of mode spire, for the agent that this client then is")
	flag.StringVar(&o.entry, "entry", "", "id of the registration entry of mode spire")
	flag.IntVar(&o.conns, "conns", 1, "connections")
	flag.IntVar(&o.inFlight, "in-flight", 1, "calls at the same time, over all connections")
	flag.IntVar(&o.batch, "batch", 16, "items of a call in modes batch-x509 and spire")
	flag.IntVar(&o.keys, "keys", 0, "distinct key pairs made ahead; 0: 12,000 for each second")
	flag.BoolVar(&o.itemTokens, "item-tokens", false, "in mode batch-x509, each item carries its own token")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "measured time")
	flag.DurationVar(&o.warmup, "warmup", time.Second, "time before it that is not counted")
	flag.StringVar(&o.audience, "audience", "load", "audience of mode issue-jwt")
	flag.IntVar(&o.streams, "streams", 1, "streams of mode sds")
	flag.StringVar(&o.names, "names", "default,ROOTCA", "resource names of mode sds, separated by commas")
	flag.StringVar(&o.nodeMetadata, "node-metadata", "", "key=value pairs of the node's metadata, separated by commas")
	flag.BoolVar(&o.delta, "delta", false, "DeltaSecrets in place of StreamSecrets")
	flag.DurationVar(&o.timeout, "timeout", time.Minute, "longest wait for all streams of modes sds and subscribe")
	flag.Parse()
	if o.target == "" || o.conns < 1 || o.inFlight < 1 || o.batch < 1 || o.streams < 1 {
		return o, fmt.Errorf("-target is required; counts are at least 1")
	}
	var err error
	o.tokens, err = readTokens(o.tokensFile)
	return o, err
}

// readTokens answers [""] without a file: no authorization is sent.
func readTokens(file string) ([]string, error) {
	if file == "" {
		return []string{""}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	tokens := strings.Fields(string(text))
	if len(tokens) == 0 {
		return nil, fmt.Errorf("no token in %s", file)
	}
	return tokens, nil
}

type fields map[string]any

func emit(event string, values fields) {
	values["event"] = event
	line, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}
