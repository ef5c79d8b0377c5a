package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// fetchJWT fetches a JWT-SVID, validates it locally against the JWT bundles and by ValidateJWTSVID, and prints it.
func fetchJWT(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("jwt", flag.ContinueOnError)
	audience := flags.String("audience", "", "audiences, separated by commas")
	subject := flags.String("subject", "", "SPIFFE ID wanted; empty: the default one")
	timeout := flags.Duration("timeout", 20*time.Second, "deadline of the whole command")
	if err := flags.Parse(args); err != nil {
		return err
	}
	audiences := strings.Split(*audience, ",")
	params := jwtsvid.Params{Audience: audiences[0], ExtraAudiences: audiences[1:]}
	if *subject != "" {
		id, err := spiffeid.FromString(*subject)
		if err != nil {
			return err
		}
		params.Subject = id
	}
	return withClient(ctx, *timeout, func(ctx context.Context, client *workloadapi.Client) error {
		svid, err := client.FetchJWTSVID(ctx, params)
		if err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		if err := validate(ctx, client, svid.Marshal(), audiences[0]); err != nil {
			return err
		}
		emit("jwt", fields{
			"id": svid.ID.String(), "audience": svid.Audience, "expiry": svid.Expiry.Unix(),
			"hint": svid.Hint, "token": svid.Marshal(), "validated": []string{"local", "rpc"},
		})
		return nil
	})
}

// validateJWT validates a given token in both ways.
func validateJWT(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("validate", flag.ContinueOnError)
	audience := flags.String("audience", "", "audience that must be in the token")
	token := flags.String("token", "", "JWT-SVID")
	timeout := flags.Duration("timeout", 20*time.Second, "deadline of the whole command")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return withClient(ctx, *timeout, func(ctx context.Context, client *workloadapi.Client) error {
		if err := validate(ctx, client, *token, *audience); err != nil {
			return err
		}
		emit("validated", fields{"by": []string{"local", "rpc"}})
		return nil
	})
}

func validate(ctx context.Context, client *workloadapi.Client, token, audience string) error {
	bundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return fmt.Errorf("bundles: %w", err)
	}
	if _, err := jwtsvid.ParseAndValidate(token, bundles, []string{audience}); err != nil {
		return fmt.Errorf("local: %w", err)
	}
	if _, err := client.ValidateJWTSVID(ctx, token, audience); err != nil {
		return fmt.Errorf("rpc: %w", err)
	}
	return nil
}

// fetchBundles prints how many authorities of each kind each trust domain has.
func fetchBundles(ctx context.Context, _ []string) error {
	return withClient(ctx, 20*time.Second, func(ctx context.Context, client *workloadapi.Client) error {
		x509, err := client.FetchX509Bundles(ctx)
		if err != nil {
			return fmt.Errorf("x509: %w", err)
		}
		jwt, err := client.FetchJWTBundles(ctx)
		if err != nil {
			return fmt.Errorf("jwt: %w", err)
		}
		authorities := fields{}
		for _, bundle := range x509.Bundles() {
			authorities[bundle.TrustDomain().Name()] = len(bundle.X509Authorities())
		}
		keys := fields{}
		for _, bundle := range jwt.Bundles() {
			keys[bundle.TrustDomain().Name()] = len(bundle.JWTAuthorities())
		}
		emit("bundles", fields{"x509": authorities, "jwt": keys})
		return nil
	})
}

func withClient(ctx context.Context, timeout time.Duration, use func(context.Context, *workloadapi.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, err := workloadapi.New(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return use(ctx, client)
}
