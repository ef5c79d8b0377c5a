package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"runtime"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of proto/assay/v1/identity.proto.
const (
	issueX509ProvenKey = 3
	issueX509Token     = 4
	provenKeyPublicKey = 1
	provenKeyProof     = 2
	batchItems         = 1
	issueJWTAudience   = 2
)

// request is an encoded message and the index of the token that it is sent with.
type request struct {
	body  []byte
	token int
}

// makeRequests makes n requests of `items` keys each, every key a new one.
func makeRequests(o options, n int) ([]request, error) {
	requests := make([]request, n)
	var wait sync.WaitGroup
	failures := make(chan error, runtime.NumCPU())
	for worker := range runtime.NumCPU() {
		wait.Go(func() {
			for i := worker; i < n; i += runtime.NumCPU() {
				body, err := encodeX509(o, i)
				if err != nil {
					failures <- err
					return
				}
				requests[i] = request{body: body, token: i % len(o.tokens)}
			}
		})
	}
	wait.Wait()
	close(failures)
	return requests, <-failures
}

func encodeX509(o options, i int) ([]byte, error) {
	if o.mode == "issue-x509" {
		return encodeItem(o.tokens[i%len(o.tokens)], false)
	}
	var batch []byte
	for k := range o.batch {
		token := o.tokens[i%len(o.tokens)]
		if o.itemTokens {
			token = o.tokens[(i*o.batch+k)%len(o.tokens)]
		}
		item, err := encodeItem(token, o.itemTokens)
		if err != nil {
			return nil, err
		}
		batch = appendField(batch, batchItems, item)
	}
	return batch, nil
}

// encodeItem makes a key, proves its possession for the token, and encodes an IssueX509Request.
func encodeItem(token string, carryToken bool) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	hashed := sha256.Sum256([]byte(token))
	message := append([]byte("assay.v1 proof of possession\x00"), hashed[:]...)
	digest := sha256.Sum256(append(message, public...))
	proof, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	proven := appendField(appendField(nil, provenKeyPublicKey, public), provenKeyProof, proof)
	item := appendField(nil, issueX509ProvenKey, proven)
	if carryToken {
		item = appendField(item, issueX509Token, []byte(token))
	}
	return item, nil
}

func encodeJWT(o options) []byte {
	return appendField(nil, issueJWTAudience, []byte(o.audience))
}

func appendField(message []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(message, number, protowire.BytesType), value)
}

// eachField calls use for every length-delimited field and skips the others. It answers false for a malformed message.
func eachField(message []byte, use func(number protowire.Number, value []byte)) bool {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return false
		}
		message = message[size:]
		size = protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return false
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			use(number, value)
		}
		message = message[size:]
	}
	return true
}
