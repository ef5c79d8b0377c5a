package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

type verifyRequest struct {
	TrustDomain string   `json:"trustDomain"`
	Bundle      string   `json:"bundle"` // PEM
	Chains      []string `json:"chains"` // PEM each, leaf first
}

// verifyChains reads one verifyRequest from standard input and prints one line a chain: {"event":"chain","id",...} or
// {"event":"chain","problem",...}. Both go-spiffe and crypto/x509 must accept it, for client and for server use.
func verifyChains(_ context.Context, _ []string) error {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var request verifyRequest
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	td, err := spiffeid.TrustDomainFromString(request.TrustDomain)
	if err != nil {
		return err
	}
	bundle, err := x509bundle.Parse(td, []byte(request.Bundle))
	if err != nil {
		return err
	}
	for _, chain := range request.Chains {
		id, err := verifyChain([]byte(chain), bundle)
		if err != nil {
			emit("chain", fields{"problem": err.Error()})
			continue
		}
		emit("chain", fields{"id": id.String()})
	}
	return nil
}

func verifyChain(chain []byte, bundle *x509bundle.Bundle) (spiffeid.ID, error) {
	certificates, err := parsePEM(chain)
	if err != nil {
		return spiffeid.ID{}, err
	}
	id, _, err := x509svid.Verify(certificates, bundle)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("go-spiffe: %w", err)
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	for _, authority := range bundle.X509Authorities() {
		options.Roots.AddCert(authority)
	}
	for _, intermediate := range certificates[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		options.KeyUsages = []x509.ExtKeyUsage{usage}
		if _, err := certificates[0].Verify(options); err != nil {
			return spiffeid.ID{}, fmt.Errorf("crypto/x509, usage %d: %w", usage, err)
		}
	}
	return id, nil
}

func parsePEM(text []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
		text = rest
	}
	if len(certificates) == 0 {
		return nil, fmt.Errorf("no certificate in the chain")
	}
	return certificates, nil
}
