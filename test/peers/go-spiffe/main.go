// Command go-spiffe drives the unmodified go-spiffe library for the interop tests.
//
// Every result is one JSON object a line on standard output, with the field "event". A failed command ends with the line
// {"event":"error","message":...} and exit status 1. The socket comes from SPIFFE_ENDPOINT_SOCKET, as for any workload.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

var commands = map[string]func(ctx context.Context, args []string) error{
	"x509":        fetchX509,
	"bundles":     fetchBundles,
	"jwt":         fetchJWT,
	"validate":    validateJWT,
	"watch":       watchX509,
	"mtls-server": mtlsServer,
	"mtls-client": mtlsClient,
	"mesh":        meshMember,
	"verify":      verifyChains,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		emit("error", fields{"message": err.Error()})
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: go-spiffe <command> [flags]")
	}
	command, known := commands[args[0]]
	if !known {
		return fmt.Errorf("unknown command %q", args[0])
	}
	return command(ctx, args[1:])
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
