package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of SPIRE's agent and SVID APIs (spire.api.server.agent.v1, spire.api.server.svid.v1).
const (
	attestParams  = 1
	attestData    = 1
	attestCSR     = 2
	dataType      = 1
	dataPayload   = 2
	csrField      = 1
	attestResult  = 1
	resultSVID    = 1
	svidChain     = 1
	newSVIDParams = 1
	paramsEntryID = 1
	paramsCSR     = 2
)

// attestToSpire joins as an agent with a join token and answers credentials that show the agent's SVID. SPIRE's API for
// agents asks for nothing less: its own agents make the same calls.
func attestToSpire(ctx context.Context, o options) (credentials.TransportCredentials, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := makeCSR(key)
	if err != nil {
		return nil, err
	}
	config, err := spireTLS(o)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(o.target, grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	chain, err := attest(ctx, conn, o.joinToken, csr)
	if err != nil {
		return nil, fmt.Errorf("attest to SPIRE: %w", err)
	}
	config.Certificates = []tls.Certificate{{Certificate: chain, PrivateKey: key}}
	return credentials.NewTLS(config), nil
}

// spireTLS trusts a server whose chain ends at the given authorities. Its certificate has a SPIFFE ID and no host name.
func spireTLS(o options) (*tls.Config, error) {
	roots, err := readRoots(o.ca)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // of the host name alone: the chain is verified below
		VerifyConnection: func(state tls.ConnectionState) error {
			intermediates := x509.NewCertPool()
			for _, certificate := range state.PeerCertificates[1:] {
				intermediates.AddCert(certificate)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
			return err
		},
	}, nil
}

func attest(ctx context.Context, conn *grpc.ClientConn, joinToken string, csr []byte) (chain [][]byte, err error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/spire.api.server.agent.v1.Agent/AttestAgent")
	if err != nil {
		return nil, err
	}
	data := appendField(appendField(nil, dataType, []byte("join_token")), dataPayload, []byte(joinToken))
	params := appendField(appendField(nil, attestData, data), attestCSR, appendField(nil, csrField, csr))
	if err := stream.SendMsg(appendField(nil, attestParams, params)); err != nil {
		return nil, err
	}
	var reply []byte
	if err := stream.RecvMsg(&reply); err != nil {
		return nil, err
	}
	eachField(reply, within(attestResult, within(resultSVID, func(number protowire.Number, value []byte) {
		if number == svidChain {
			chain = append(chain, append([]byte(nil), value...))
		}
	})))
	if len(chain) == 0 {
		return nil, fmt.Errorf("the reply holds no SVID")
	}
	return chain, stream.CloseSend()
}

// awaitSpireEntry asks until the server knows the registration entry: SPIRE reads entries into memory every few seconds.
func awaitSpireEntry(ctx context.Context, o options, conn *grpc.ClientConn) error {
	o.batch = 1
	body, err := encodeSpire(o)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(o.timeout)
	for {
		var reply []byte
		err := conn.Invoke(ctx, methods["spire"], body, &reply)
		if err == nil {
			issued, _, first := judgeSpire(reply)
			if issued == 1 {
				return nil
			}
			err = fmt.Errorf("%s", first)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("SPIRE issues nothing: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// within calls use for the fields of the message in field `of`.
func within(of protowire.Number, use func(protowire.Number, []byte)) func(protowire.Number, []byte) {
	return func(number protowire.Number, value []byte) {
		if number == of {
			eachField(value, use)
		}
	}
}

// makeSpireRequests makes n requests of `batch` certificate requests each, every key a new one, for one registration entry.
func makeSpireRequests(o options, n int) ([]request, error) {
	requests := make([]request, n)
	var wait sync.WaitGroup
	failures := make(chan error, runtime.NumCPU())
	for worker := range runtime.NumCPU() {
		wait.Go(func() {
			for i := worker; i < n; i += runtime.NumCPU() {
				body, err := encodeSpire(o)
				if err != nil {
					failures <- err
					return
				}
				requests[i] = request{body: body}
			}
		})
	}
	wait.Wait()
	close(failures)
	return requests, <-failures
}

func encodeSpire(o options) (body []byte, err error) {
	for range o.batch {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		csr, err := makeCSR(key)
		if err != nil {
			return nil, err
		}
		params := appendField(appendField(nil, paramsEntryID, []byte(o.entry)), paramsCSR, csr)
		body = appendField(body, newSVIDParams, params)
	}
	return body, nil
}

func makeCSR(key *ecdsa.PrivateKey) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
}

// judgeSpire counts the SVIDs of a reply, and what has none.
func judgeSpire(reply []byte) (issued, problems int, first string) {
	const result, status, svid, message = 1, 1, 2, 2
	eachField(reply, func(number protowire.Number, value []byte) {
		if number != result {
			return
		}
		got, text := false, ""
		eachField(value, func(number protowire.Number, field []byte) {
			switch number {
			case svid:
				got = true
			case status:
				eachField(field, func(number protowire.Number, value []byte) {
					if number == message {
						text = string(value)
					}
				})
			}
		})
		if got {
			issued++
			return
		}
		problems++
		if first == "" {
			first = text
		}
	})
	return issued, problems, first
}
