package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const envPrefix = "RELAY_"

// testEnvPrefix begins the names of the services that the integration tests use. The relays that they start inherit them.
const testEnvPrefix = "RELAY_TEST_"

// clientEnv are read by the client commands, which talk to a running relay and take no configuration.
var clientEnv = []string{"RELAY_ADMIN_URL", "RELAY_ADMIN_KEY"}

// orchestratorEnv matches what Kubernetes and Docker set in every container for a service that is called relay
// (RELAY_PORT, RELAY_SERVICE_HOST, RELAY_PORT_8080_TCP_ADDR, also RELAY_ADMIN_SERVICE_PORT_HTTP).
var orchestratorEnv = regexp.MustCompile(`^RELAY(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$`)

// checkEnv refuses a RELAY_ variable that no command knows: misspelt, it would silently not be applied.
func checkEnv(app *kong.Application, environ []string) error {
	known := slices.Clone(clientEnv)
	eachFlag(app, func(flag *kong.Flag) { known = append(known, flag.Envs...) })
	slices.Sort(known)
	var wrong []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testEnvPrefix) || orchestratorEnv.MatchString(name) {
			continue
		}
		if _, ok := slices.BinarySearch(known, name); ok {
			continue
		}
		problem := "unknown environment variable " + name
		if meant := closest(name, known); meant != "" {
			problem += fmt.Sprintf(" (did you mean %s?)", meant)
		}
		wrong = append(wrong, problem)
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return &ConfigError{Problems: wrong}
}

// envSet reports whether the environment sets the flag.
func envSet(flag *kong.Flag) bool {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return true
		}
	}
	return false
}
