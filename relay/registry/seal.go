package registry

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrSealed is matched by a record whose secrets cannot be opened because it was damaged, tampered with or moved to
// another key.
var ErrSealed = errors.New("sealed secrets do not open")

// MissingKeyError says that a record was sealed with a master key that this process does not hold: a mistake of
// configuration, not damage.
type MissingKeyError struct {
	// KeyID is the id that the record names.
	KeyID string
}

// Error says what to do about it.
func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("sealed with master key %q, which is not among the configured ones: add it to RELAY_MASTER_KEY", e.KeyID)
}

// sealed is the envelope of one record's secrets. A fresh random data key seals the secrets, the master key wraps
// the data key, and both name the record's key as additional data, so that neither can be moved to another record.
type sealed struct {
	KeyID string `json:"kek"`
	Check string `json:"check"`
	// Key is the wrapped data key, Box the sealed secrets; both with their nonce in front.
	Key []byte `json:"key"`
	Box []byte `json:"box"`
}

// secretsByPath are the plaintexts of a record, by the path that EachSecret gives them.
type secretsByPath map[string]string

// Purposes keep the two layers of an envelope apart: a wrapped key is never taken for a box.
const (
	purposeKey = "key"
	purposeBox = "box"
)

func additionalData(purpose, recordKey string) []byte { return []byte(purpose + "\x00" + recordKey) }

// seal encrypts secrets for the record with that key. No secrets give no envelope.
func (k *Keyring) seal(recordKey string, secrets secretsByPath) (*sealed, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return nil, fmt.Errorf("seal secrets of %s: %w", recordKey, err)
	}
	dataKey := randomBytes(masterKeyBytes)
	s := &sealed{Box: newAEAD(dataKey).Seal(nil, nil, plain, additionalData(purposeBox, recordKey))}
	k.wrap(recordKey, s, dataKey)
	return s, nil
}

// wrap puts the data key of an envelope under the current master key.
func (k *Keyring) wrap(recordKey string, s *sealed, dataKey []byte) {
	master := k.current()
	s.KeyID, s.Check = master.id, master.check
	s.Key = master.aead.Seal(nil, nil, dataKey, additionalData(purposeKey, recordKey))
}

// unwrap gives the data key of an envelope. Errors are a *MissingKeyError or match ErrSealed.
func (k *Keyring) unwrap(recordKey string, s *sealed) ([]byte, error) {
	master, ok := k.find(s.KeyID, s.Check)
	if !ok {
		return nil, &MissingKeyError{KeyID: s.KeyID}
	}
	dataKey, err := master.aead.Open(nil, nil, s.Key, additionalData(purposeKey, recordKey))
	if err != nil {
		return nil, fmt.Errorf("%w: data key: %w", ErrSealed, err)
	}
	if len(dataKey) != masterKeyBytes {
		return nil, fmt.Errorf("%w: data key of %d bytes", ErrSealed, len(dataKey))
	}
	return dataKey, nil
}

// open decrypts an envelope. Errors are a *MissingKeyError or match ErrSealed.
func (k *Keyring) open(recordKey string, s *sealed) (secretsByPath, error) {
	if s == nil {
		return nil, nil
	}
	dataKey, err := k.unwrap(recordKey, s)
	if err != nil {
		return nil, err
	}
	plain, err := newAEAD(dataKey).Open(nil, nil, s.Box, additionalData(purposeBox, recordKey))
	if err != nil {
		return nil, fmt.Errorf("%w: box: %w", ErrSealed, err)
	}
	var secrets secretsByPath
	if err := json.Unmarshal(plain, &secrets); err != nil {
		// Not wrapped: the text of a JSON error may quote what it could not parse.
		return nil, fmt.Errorf("%w: box is not a map of secrets", ErrSealed)
	}
	return secrets, nil
}
