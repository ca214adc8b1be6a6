package demo

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// BannerOptions are what the opening tells.
type BannerOptions struct {
	AdminURL string // http://127.0.0.1:8080
	OpsURL   string // http://127.0.0.1:8081
	Kafka    string // 127.0.0.1:9092
	Redis    string // 127.0.0.1:6379
	// Receiver is the demo receiver's URL; empty when the demo is left out.
	Receiver string
	// DataDir holds client.json and KeyFile.
	DataDir string
	// KeyFile is the name of the file in DataDir that holds the admin key and nothing else.
	KeyFile string
	// Program is how this binary was called: "relay", or "go run ./cmd/relay".
	Program string
}

// Banner writes the opening of `relay dev`: what listens where, and commands to try that can be pasted as they are.
func Banner(out io.Writer, o BannerOptions) error {
	var b strings.Builder
	fmt.Fprintln(&b, "relay dev: everything in one process, for development. NOT FOR PRODUCTION: one broker without replicas,")
	fmt.Fprintln(&b, "endpoints on this machine and plain http:// are allowed.")
	fmt.Fprintln(&b)
	fmt.Fprintf(&b, "  admin API  %s   (ops: %s/readyz, %s/metrics)\n", o.AdminURL, o.OpsURL, o.OpsURL)
	fmt.Fprintf(&b, "  Kafka      %s\n", o.Kafka)
	fmt.Fprintf(&b, "  Redis      %s\n", o.Redis)
	if o.Receiver != "" {
		fmt.Fprintf(&b, "  receiver   %s   (sample events are published; --no-demo leaves both out)\n", o.Receiver)
	}
	fmt.Fprintf(&b, "  key        in %s, and with the address in %s\n", filepath.Join(o.DataDir, o.KeyFile), filepath.Join(o.DataDir, "client.json"))
	fmt.Fprintln(&b)
	fmt.Fprintln(&b, "Try:")
	// $(cat …) works in every shell of Linux and macOS, and keeps the key off the screen.
	auth := fmt.Sprintf(`-H "Authorization: Bearer $(cat %s)"`, shellQuote(filepath.Join(o.DataDir, o.KeyFile)))
	fmt.Fprintf(&b, "  curl -s %s %s/v1/webhooks\n", auth, o.AdminURL)
	fmt.Fprintf(&b, "  curl -s %s -H 'Content-Type: application/json' \\\n    -d '{\"id\":\"mine\",\"url\":\"http://127.0.0.1:9000/\",\"events\":[\"debt.*\"]}' %s/v1/webhooks\n", auth, o.AdminURL)
	fmt.Fprintf(&b, "  curl -s %s %s/v1/diverted\n", auth, o.AdminURL)
	fmt.Fprintf(&b, "  %s publish --kafka %s --sample debt.paid\n", o.Program, o.Kafka)
	fmt.Fprintln(&b)
	_, err := io.WriteString(out, b.String())
	return err
}

// shellQuote leaves plain paths readable.
func shellQuote(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
