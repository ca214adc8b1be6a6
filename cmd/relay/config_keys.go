package main

import (
	"fmt"
	"os"
	"strings"

	"eventrelay/catalog"
)

// keyConfig holds the secrets without which nothing is served. Each may come from a file, so that it is in no process
// list and no environment.
type keyConfig struct {
	AdminKey      catalog.Secret `name:"admin-key" env:"RELAY_ADMIN_KEY" yaml:"admin.key" placeholder:"KEY" help:"Bootstrap key of the admin API, at least 16 characters. Prefer the environment variable or the file: flags show in process lists." group:"Keys"`
	AdminKeyFile  string         `name:"admin-key-file" env:"RELAY_ADMIN_KEY_FILE" yaml:"admin.keyFile" placeholder:"FILE" help:"File that holds the bootstrap key." group:"Keys"`
	MasterKey     catalog.Secret `name:"master-key" env:"RELAY_MASTER_KEY" yaml:"masterKey" placeholder:"ID:KEY,…" help:"Keys that encrypt stored secrets: 32 bytes as base64, with ids where there are several; the first encrypts, the others still decrypt." group:"Keys"`
	MasterKeyFile string         `name:"master-key-file" env:"RELAY_MASTER_KEY_FILE" yaml:"masterKeyFile" placeholder:"FILE" help:"File that holds the master keys; serve reads it again when it changes and at SIGHUP." group:"Keys"`
}

// generateKey makes a fitting value for either key on every machine that has a relay's neighbours.
const generateKey = "$(openssl rand -base64 32)"

// minAdminKey is the least length in characters: 16 of base64 are 96 bits.
const minAdminKey = 16

func (c keyConfig) check(p *problems) {
	switch {
	case c.AdminKey.IsSet() && c.AdminKeyFile != "":
		p.add("admin-key-file", "and --admin-key are both set: choose one")
	case !c.AdminKey.IsSet() && c.AdminKeyFile == "":
		p.add("admin-key", "is not set, and without it nobody could use the admin API. Generate one:\n    export RELAY_ADMIN_KEY=\"%s\"", generateKey)
	case c.AdminKey.IsSet() && len(c.AdminKey.Reveal()) < minAdminKey:
		p.add("admin-key", "is shorter than %d characters. Generate one:\n    export RELAY_ADMIN_KEY=\"%s\"", minAdminKey, generateKey)
	}
	switch {
	case c.MasterKey.IsSet() && c.MasterKeyFile != "":
		p.add("master-key-file", "and --master-key are both set: choose one")
	case !c.MasterKey.IsSet() && c.MasterKeyFile == "":
		p.add("master-key", "is not set, and without it stored secrets could not be encrypted. Generate one, and keep it as safe as a backup:\n    export RELAY_MASTER_KEY=\"%s\"", generateKey)
	}
}

// Admin is the bootstrap key.
func (c keyConfig) Admin() (catalog.Secret, error) {
	key, err := secretOrFile(c.AdminKey, c.AdminKeyFile, "--admin-key-file")
	if err == nil && len(key.Reveal()) < minAdminKey {
		err = fmt.Errorf("the key in %s is shorter than %d characters", c.AdminKeyFile, minAdminKey)
	}
	return key, err
}

// Master is the text of the master keys.
func (c keyConfig) Master() (catalog.Secret, error) {
	return secretOrFile(c.MasterKey, c.MasterKeyFile, "--master-key-file")
}

func secretOrFile(value catalog.Secret, path, flag string) (catalog.Secret, error) {
	if path == "" {
		return value, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return catalog.Secret{}, fmt.Errorf("read %s: %w", flag, err)
	}
	value = catalog.NewSecret(strings.TrimSpace(string(text)))
	if !value.IsSet() {
		return value, fmt.Errorf("%s %s is empty", flag, path)
	}
	return value, nil
}
