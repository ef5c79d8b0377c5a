package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// runForm keeps -in-flight POSTs of a form running over HTTP/1.1 connections that are kept, and counts answers of status 200.
func runForm(ctx context.Context, o options) error {
	forms, err := readForms(o.formsFile)
	if err != nil {
		return err
	}
	client, err := httpClient(o)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	from := time.Now().Add(o.warmup)
	until := from.Add(o.duration)
	tallies := make([]tally, o.inFlight)
	var next atomic.Int64
	var wait sync.WaitGroup
	for i := range tallies {
		wait.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				if begin.After(until) {
					return
				}
				form := forms[(next.Add(1)-1)%int64(len(forms))]
				failure := post(ctx, client, o.target, form)
				end := time.Now()
				if end.Before(from) || end.After(until) {
					continue
				}
				if failure == "" {
					tallies[i].add(end, end.Sub(begin), 1, 0, "")
				} else {
					tallies[i].add(end, end.Sub(begin), 0, 1, failure)
				}
			}
		})
	}
	wait.Wait()
	total := mergeTallies(tallies)
	if total.calls == 0 {
		return fmt.Errorf("no call ended within the measured time; first error: %s", total.firstError)
	}
	seconds := o.duration.Seconds()
	emit("result", fields{
		"mode": o.mode, "in_flight": o.inFlight, "conns": o.conns, "count": total.issued, "calls": total.calls,
		"errors": total.errors, "first_error": total.firstError, "seconds": seconds,
		"per_second": float64(total.issued) / seconds, "p50_ms": total.percentile(0.50), "p99_ms": total.percentile(0.99),
		"max_ms": total.percentile(1), "keys_exhausted": false, "preparation_seconds": 0,
	})
	return nil
}

// post answers "" for status 200.
func post(ctx context.Context, client *http.Client, url string, form []byte) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(form))
	if err != nil {
		return err.Error()
	}
	request.Header.Set("content-type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64*1024))
	if err != nil {
		return err.Error()
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Sprintf("status %d: %s", response.StatusCode, body)
	}
	return ""
}

// httpClient has at most -conns connections, each kept.
func httpClient(o options) (*http.Client, error) {
	roots, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("no certificate in %s", o.ca)
	}
	return &http.Client{Timeout: o.timeout, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, ServerName: o.serverName, MinVersion: tls.VersionTLS12},
		MaxConnsPerHost:     o.conns,
		MaxIdleConnsPerHost: o.conns,
		DisableCompression:  true,
	}}, nil
}

// readForms reads one encoded form a line.
func readForms(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var forms [][]byte
	for line := range strings.Lines(string(text)) {
		if trimmed := strings.TrimSpace(line); trimmed != "" {
			forms = append(forms, []byte(trimmed))
		}
	}
	if len(forms) == 0 {
		return nil, fmt.Errorf("no form in %s", file)
	}
	return forms, nil
}
