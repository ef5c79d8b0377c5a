// Package alerts reads rules as Prometheus does, and says which of their alerts would fire over given series. It is built by
// "go test -c", since the storage that Prometheus has for tests asks for a test.
package alerts

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// Order is what standard input holds, as JSON.
type order struct {
	// Rules is the path of a file.
	Rules string `json:"rules"`
	// Scenes are asked one by one.
	Scenes []scene `json:"scenes"`
}

type scene struct {
	// Series as in Prometheus's own tests.
	Series string `json:"series"`
	// At is when to look, in seconds after the first sample.
	At int64 `json:"at"`
}

// Answer is written to the file that $ANSWER names, as JSON.
type answer struct {
	// Errors of the rules file: syntax, expressions, templates.
	Errors []string `json:"errors"`
	// Firing has, for each scene, the alerts whose expression has an outcome.
	Firing [][]string `json:"firing"`
}

func TestAlerts(t *testing.T) {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	var asked order
	if err := json.Unmarshal(text, &asked); err != nil {
		t.Fatal(err)
	}
	expressions := parser.NewParser(parser.Options{})
	quiet := slog.New(slog.DiscardHandler)
	groups, failures := rulefmt.ParseFile(asked.Rules, false, model.UTF8Validation, expressions, quiet)
	found := answer{Errors: []string{}, Firing: [][]string{}}
	for _, failure := range failures {
		found.Errors = append(found.Errors, failure.Error())
	}
	if len(failures) == 0 {
		for _, one := range asked.Scenes {
			found.Firing = append(found.Firing, firing(t, groups, one))
		}
	}
	encoded, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("ANSWER"), encoded, 0o600); err != nil {
		t.Fatal(err)
	}
}

func firing(t *testing.T, groups *rulefmt.RuleGroups, asked scene) []string {
	storage := promqltest.LoadedStorage(t, asked.Series)
	defer storage.Close()
	engine := promqltest.NewTestEngine(t, false, 0, maxSamples)
	found := []string{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			query, err := engine.NewInstantQuery(context.Background(), storage, nil, rule.Expr, time.Unix(asked.At, 0))
			if err != nil {
				t.Fatal(err)
			}
			vector, err := query.Exec(context.Background()).Vector()
			if err != nil {
				t.Fatalf("%s: %v", rule.Alert, err)
			}
			if len(vector) > 0 {
				found = append(found, rule.Alert)
			}
			query.Close()
		}
	}
	return found
}

const maxSamples = 1_000_000
