package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// meshMember serves HTTPS by mutual TLS to every member of its trust domain, and calls others, each request on a connection of
// its own. Commands on standard input: "call <URL> <SPIFFE ID>" calls that peer from now on, "count" prints how many calls
// succeeded. A call that fails is one line, the first thousand of them, with when it began and ended in Unix milliseconds.
func meshMember(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mesh", flag.ContinueOnError)
	pace := flags.Duration("pace", 100*time.Millisecond, "time between two calls of a peer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	svid, err := source.GetX509SVID()
	if err != nil {
		return err
	}
	m := &member{ctx: ctx, source: source, pace: *pace}
	if err := m.listen(svid.ID.TrustDomain()); err != nil {
		return err
	}
	return m.obey(os.Stdin)
}

type member struct {
	ctx       context.Context
	source    *workloadapi.X509Source
	pace      time.Duration
	mu        sync.Mutex
	succeeded int
	failed    int
}

func (m *member) listen(trustDomain spiffeid.TrustDomain) error {
	config := tlsconfig.MTLSServerConfig(m.source, m.source, tlsconfig.AuthorizeMemberOf(trustDomain))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	quiet := log.New(io.Discard, "", 0)
	server := &http.Server{Handler: http.HandlerFunc(answer), ErrorLog: quiet}
	context.AfterFunc(m.ctx, func() { server.Close() })
	go server.Serve(listener)
	emit("listening", fields{"port": listener.Addr().(*net.TCPAddr).Port})
	return nil
}

func answer(reply http.ResponseWriter, request *http.Request) {
	id, err := x509svid.IDFromCert(request.TLS.PeerCertificates[0])
	if err != nil {
		http.Error(reply, err.Error(), http.StatusForbidden)
		return
	}
	fmt.Fprintln(reply, id)
}

func (m *member) obey(input io.Reader) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(input)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	for {
		select {
		case <-m.ctx.Done():
			return nil
		case line, more := <-lines:
			if !more {
				return nil
			}
			if err := m.run(strings.Fields(line)); err != nil {
				return err
			}
		}
	}
}

func (m *member) run(words []string) error {
	switch {
	case len(words) == 3 && words[0] == "call":
		id, err := spiffeid.FromString(words[2])
		if err != nil {
			return err
		}
		go m.call(words[1], id)
	case len(words) == 1 && words[0] == "count":
		m.mu.Lock()
		defer m.mu.Unlock()
		emit("count", fields{"succeeded": m.succeeded})
	default:
		return fmt.Errorf("unknown command %q", words)
	}
	return nil
}

func (m *member) call(url string, id spiffeid.ID) {
	config := tlsconfig.MTLSClientConfig(m.source, m.source, tlsconfig.AuthorizeID(id))
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for m.ctx.Err() == nil {
		began := time.Now()
		err := fetch(client, url)
		m.count(id, began, err)
		select {
		case <-m.ctx.Done():
		case <-time.After(m.pace):
		}
	}
}

func fetch(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func (m *member) count(id spiffeid.ID, began time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.succeeded++
		return
	}
	if m.failed++; m.failed > maxFailures || m.ctx.Err() != nil {
		return
	}
	emit("failed", fields{
		"to": id.String(), "began": began.UnixMilli(), "ended": time.Now().UnixMilli(), "message": err.Error(),
	})
}

const maxFailures = 1000
