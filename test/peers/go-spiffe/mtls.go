package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
)

// mtlsServer accepts connections of one peer ID and answers each line; it runs until the signal.
func mtlsServer(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mtls-server", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "address to listen at")
	peer := flags.String("peer", "", "SPIFFE ID that clients must have")
	if err := flags.Parse(args); err != nil {
		return err
	}
	id, err := spiffeid.FromString(*peer)
	if err != nil {
		return err
	}
	listener, err := spiffetls.Listen(ctx, "tcp", *addr, tlsconfig.AuthorizeID(id))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	emit("listening", fields{"addr": listener.Addr().String()})
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go serve(conn)
	}
}

func serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			if line == "" && err.Error() != "EOF" {
				emit("refused", fields{"message": err.Error()})
			}
			return
		}
		id, err := spiffetls.PeerIDFromConn(conn)
		if err != nil {
			emit("refused", fields{"message": err.Error()})
			return
		}
		emit("served", fields{"peer": id.String()})
		fmt.Fprintf(conn, "hello %s: %s", id, line)
	}
}

// mtlsClient connects -count times, one exchange each, and prints what each was answered.
func mtlsClient(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mtls-client", flag.ContinueOnError)
	addr := flags.String("addr", "", "address of the server")
	peer := flags.String("peer", "", "SPIFFE ID that the server must have")
	count := flags.Int("count", 1, "connections, one after the other")
	timeout := flags.Duration("timeout", 20*time.Second, "deadline of the whole command")
	if err := flags.Parse(args); err != nil {
		return err
	}
	id, err := spiffeid.FromString(*peer)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	for range *count {
		if err := exchange(ctx, *addr, id); err != nil {
			return err
		}
	}
	return nil
}

func exchange(ctx context.Context, addr string, id spiffeid.ID) error {
	conn, err := spiffetls.Dial(ctx, "tcp", addr, tlsconfig.AuthorizeID(id))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, "ping"); err != nil {
		return err
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("no reply: %w", err)
	}
	seen, err := spiffetls.PeerIDFromConn(conn)
	if err != nil {
		return err
	}
	emit("answered", fields{"peer": seen.String(), "reply": reply})
	return nil
}
