package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// fetchX509 prints the SVIDs of one response, default first, each verified against the bundles of the same response.
func fetchX509(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("x509", flag.ContinueOnError)
	timeout := flags.Duration("timeout", 20*time.Second, "deadline of the whole command")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	response, err := workloadapi.FetchX509Context(ctx)
	if err != nil {
		return err
	}
	return emitContext("x509", response)
}

// watchX509 prints one line for each update, until -updates of them were seen.
func watchX509(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	updates := flags.Int("updates", 0, "end after this many updates; 0: at the signal only")
	timeout := flags.Duration("timeout", 5*time.Minute, "deadline of the whole command")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	w := &watcher{ctx: ctx, left: *updates, done: cancel}
	err := workloadapi.WatchX509Context(ctx, w)
	switch {
	case w.failed != nil:
		return w.failed
	case w.left == 0:
		return nil
	default:
		return fmt.Errorf("%d updates missing: %w", w.left, err)
	}
}

type watcher struct {
	ctx    context.Context
	left   int
	done   context.CancelFunc
	failed error
}

func (w *watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	if err := emitContext("update", update); err != nil {
		w.failed = err
		w.done()
		return
	}
	if w.left--; w.left == 0 {
		w.done()
	}
}

func (w *watcher) OnX509ContextWatchError(err error) {
	if w.ctx.Err() != nil {
		return // our own end of the stream
	}
	emit("watch-error", fields{"message": err.Error()})
}

func emitContext(event string, response *workloadapi.X509Context) error {
	svids := []fields{}
	for _, svid := range response.SVIDs {
		if _, _, err := x509svid.Verify(svid.Certificates, response.Bundles); err != nil {
			return fmt.Errorf("%s does not verify against the bundles beside it: %w", svid.ID, err)
		}
		leaf := svid.Certificates[0]
		svids = append(svids, fields{
			"id":        svid.ID.String(),
			"serial":    hex.EncodeToString(leaf.SerialNumber.Bytes()),
			"chain":     len(svid.Certificates),
			"hint":      svid.Hint,
			"notBefore": leaf.NotBefore.Unix(),
			"notAfter":  leaf.NotAfter.Unix(),
			"issuer":    hex.EncodeToString(leaf.AuthorityKeyId),
		})
	}
	emit(event, fields{"svids": svids, "bundles": bundleDigests(response)})
	return nil
}

// bundleDigests maps each trust domain to the SHA-256 of its authorities, in the order in which they came.
func bundleDigests(response *workloadapi.X509Context) map[string][]string {
	digests := map[string][]string{}
	for _, bundle := range response.Bundles.Bundles() {
		list := []string{}
		for _, authority := range bundle.X509Authorities() {
			sum := sha256.Sum256(authority.Raw)
			list = append(list, hex.EncodeToString(sum[:]))
		}
		digests[bundle.TrustDomain().Name()] = list
	}
	return digests
}
