package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"eventrelay/catalog"
)

// secretsFile holds the signing secrets of the demo's webhooks. The API shows a secret only once, and the receiver
// must know it after every restart.
const secretsFile = "demo.json"

type storedSecrets struct {
	// SigningSecrets by webhook id.
	SigningSecrets map[string]string `json:"signingSecrets"`
}

// loadSecrets reads the secrets of the given webhooks from the data directory, makes those that are missing, and has
// them on disk before it returns.
func loadSecrets(dir string, hooks []Webhook) (map[string]string, error) {
	path := filepath.Join(dir, secretsFile)
	var stored storedSecrets
	switch text, err := os.ReadFile(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read the demo's secrets: %w", err)
	default:
		// A damaged file is replaced: the webhooks are given the new secrets.
		_ = json.Unmarshal(text, &stored)
	}
	if stored.SigningSecrets == nil {
		stored.SigningSecrets = make(map[string]string)
	}
	changed := false
	for _, w := range hooks {
		if stored.SigningSecrets[w.ID] != "" {
			continue
		}
		secret, err := catalog.GenerateSecret()
		if err != nil {
			return nil, fmt.Errorf("make a signing secret: %w", err)
		}
		stored.SigningSecrets[w.ID], changed = secret.Value.Reveal(), true
	}
	if !changed {
		return stored.SigningSecrets, nil
	}
	text, err := json.MarshalIndent(stored, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the demo's secrets: %w", err)
	}
	if err := replaceFile(path, append(text, '\n')); err != nil {
		return nil, fmt.Errorf("keep the demo's secrets: %w", err)
	}
	return stored.SigningSecrets, nil
}

// replaceFile writes a file that only its owner may read, whole or not at all.
func replaceFile(path string, text []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
