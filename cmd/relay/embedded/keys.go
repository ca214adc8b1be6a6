package embedded

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"eventrelay/catalog"
)

// Files of the data directory that hold keys. Only their owner may read them.
const (
	// AdminKeyFile holds the bootstrap key of the admin API, and nothing else.
	AdminKeyFile = "admin.key"
	// MasterKeyFile holds the key that encrypts stored secrets.
	MasterKeyFile = "master.key"
	// ClientFile tells the client commands where the admin API is and with which key, as JSON: adminUrl, adminKey.
	ClientFile = "client.json"
)

// Keys are what a production relay is given by its operator, and a development relay makes for itself.
type Keys struct{ Admin, Master catalog.Secret }

// LoadKeys reads the keys of a data directory and makes those that are missing. Call it after StartKafka, which locks
// the directory.
func LoadKeys(dir string) (Keys, error) {
	var keys Keys
	for name, key := range map[string]*catalog.Secret{AdminKeyFile: &keys.Admin, MasterKeyFile: &keys.Master} {
		loaded, err := loadKey(filepath.Join(dir, name))
		if err != nil {
			return Keys{}, err
		}
		*key = loaded
	}
	return keys, nil
}

// keyBytes fits AES-256, and is more than enough for a bearer key.
const keyBytes = 32

func loadKey(path string) (catalog.Secret, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return catalog.Secret{}, fmt.Errorf("read key: %w", err)
	}
	if key := strings.TrimSpace(string(text)); key != "" {
		return catalog.NewSecret(key), nil
	}
	if err == nil {
		// Making another would leave what the lost one has encrypted unreadable without a word.
		return catalog.Secret{}, fmt.Errorf("key file %s is empty: restore it, or delete it to have another key made", path)
	}
	random := make([]byte, keyBytes)
	_, _ = rand.Read(random) // never fails
	key := base64.StdEncoding.EncodeToString(random)
	if err := replaceFile(path, []byte(key+"\n")); err != nil {
		return catalog.Secret{}, fmt.Errorf("keep key: %w", err)
	}
	return catalog.NewSecret(key), nil
}

// WriteClient tells the client commands where the admin API is.
func WriteClient(dir, adminURL string, key catalog.Secret) error {
	text, err := json.MarshalIndent(map[string]string{"adminUrl": adminURL, "adminKey": key.Reveal()}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", ClientFile, err)
	}
	if err := replaceFile(filepath.Join(dir, ClientFile), append(text, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", ClientFile, err)
	}
	return nil
}

// replaceFile writes a file that only its owner may read, whole or not at all.
func replaceFile(path string, text []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	if err := syncPath(temp); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
