package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// keyWatch gives a running node the master keys of its file when that changes: it looks every keyWatchEvery and at
// SIGHUP. A file that cannot be used leaves the former keys in force. Its fields belong to run.
type keyWatch struct {
	path string
	set  func(*registry.Keyring) error
	log  *slog.Logger
	ring *registry.Keyring // in force
	// complaint is the text of the file with what was found wrong with it, so that this is said once. A ring that is
	// refused is tried again all the same: records may have been rewrapped meanwhile.
	complaint catalog.Secret
}

// keyWatchEvery bounds how long instances of a fleet may disagree about a key after a mounted file has changed: while
// one lacks a key that another has written with, it pauses its intake.
const keyWatchEvery = 5 * time.Second

func newKeyWatch(path string, ring *registry.Keyring, set func(*registry.Keyring) error, log *slog.Logger) *keyWatch {
	return &keyWatch{path: path, set: set, log: log, ring: ring}
}

// run looks until ctx ends.
func (w *keyWatch) run(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(keyWatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.look(false)
		case <-hangup:
			w.look(true)
		case <-ctx.Done():
			return
		}
	}
}

// look reads the file and sets what it holds when that differs from the keys in force. asked: an operator waits for an
// answer, whatever it is.
func (w *keyWatch) look(asked bool) {
	text, err := secretOrFile(catalog.Secret{}, w.path, "--master-key-file")
	var ring *registry.Keyring
	if err == nil {
		ring, err = registry.ParseKeyring(text.Reveal())
	}
	if err == nil && !ring.Equal(w.ring) {
		err = w.set(ring)
	}
	switch {
	case err != nil:
		if complaint := text.Reveal() + err.Error(); asked || !w.complaint.Equal(catalog.NewSecret(complaint)) {
			w.complaint = catalog.NewSecret(complaint)
			w.log.Error("master_keys_not_replaced", "file", w.path, "err", err, "keys", w.ring, "hint", "the former keys stay in force; correct the file")
		}
		return
	case !ring.Equal(w.ring):
		w.log.Info("master_keys_replaced", "file", w.path, "keys", ring, "former", w.ring)
	case asked:
		w.log.Info("master_keys_unchanged", "file", w.path, "keys", ring)
	}
	w.ring, w.complaint = ring, catalog.Secret{}
}
