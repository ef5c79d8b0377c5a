package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// dial opens the connections; close ends them all.
func dial(ctx context.Context, o options) (conns []*grpc.ClientConn, close func(), err error) {
	close = func() {
		for _, conn := range conns {
			conn.Close()
		}
	}
	creds, err := callCredentials(ctx, o)
	if err != nil {
		return nil, close, err
	}
	for range o.conns {
		conn, err := grpc.NewClient(o.target,
			grpc.WithTransportCredentials(creds),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})),
			grpc.WithDisableServiceConfig(),
		)
		if err != nil {
			return conns, close, err
		}
		conns = append(conns, conn)
	}
	return conns, close, nil
}

func callCredentials(ctx context.Context, o options) (credentials.TransportCredentials, error) {
	if o.mode == "spire" {
		return attestToSpire(ctx, o)
	}
	return transportCredentials(o)
}

func transportCredentials(o options) (credentials.TransportCredentials, error) {
	if strings.HasPrefix(o.target, "unix:") {
		return insecure.NewCredentials(), nil
	}
	roots, err := readRoots(o.ca)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: o.serverName, MinVersion: tls.VersionTLS13}), nil
}

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return roots, nil
}

// callContexts has one context a token, made ahead.
func callContexts(ctx context.Context, tokens []string) []context.Context {
	contexts := make([]context.Context, len(tokens))
	for i, token := range tokens {
		contexts[i] = ctx
		if token != "" {
			contexts[i] = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		}
	}
	return contexts
}

// rawCodec passes encoded messages through, so that requests are encoded once, ahead of the measurement.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(message any) ([]byte, error) {
	encoded, ok := message.([]byte)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", message)
	}
	return encoded, nil
}

func (rawCodec) Unmarshal(data []byte, message any) error {
	target, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("cannot receive a %T", message)
	}
	*target = append((*target)[:0], data...)
	return nil
}
