package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"eventrelay/catalog"
)

// errRotated ends an edit that an earlier request with the same Idempotency-Key has made.
var errRotated = errors.New("rotated before")

// rotationTag marks a secret that was made under an Idempotency-Key, so that a repeat finds it. It holds digests of the
// key and the body.
func (i idempotency) rotationTag() (key, tag string) {
	key = "rotation-" + i.digest[:16] + "-"
	return key, key + i.fingerprint[:16]
}

// rotation is what a client asks for.
type rotation struct {
	next      catalog.SigningSecret
	overlap   time.Duration
	generated catalog.Secret // next, when the relay made it
	repeat    idempotency
}

func (s *Server) readRotation(c *call) (rotation, error) {
	sent, body, err := c.body()
	if err != nil {
		return rotation{}, err
	}
	request := struct {
		Overlap  catalog.Duration       `json:"overlap"`
		Value    catalog.Secret         `json:"value"`
		Encoding catalog.SecretEncoding `json:"encoding"`
	}{Overlap: catalog.Duration(catalog.DefaultOverlap)}
	if err := fill(&request, sent, nil); err != nil {
		return rotation{}, err
	}
	overlap := time.Duration(request.Overlap)
	if overlap < 0 || overlap > catalog.MaxOverlap {
		return rotation{}, invalid([]fieldMessage{{"overlap", fmt.Sprintf("is not between 0s and %s", catalog.MaxOverlap)}})
	}
	r := rotation{next: catalog.SigningSecret{Value: request.Value, Encoding: request.Encoding}, overlap: overlap, repeat: c.idempotency(body)}
	if !r.next.Value.IsSet() {
		if r.next, err = catalog.GenerateSecret(); err != nil {
			return rotation{}, err
		}
		r.generated = r.next.Value
	}
	if r.repeat.given() {
		_, r.next.Tag = r.repeat.rotationTag()
	}
	return r, nil
}

// apply rotates, unless an earlier request with the same Idempotency-Key has.
func (r rotation) apply(current catalog.Signing) (catalog.Signing, error) {
	if r.repeat.given() {
		if err := rotatedBefore(current, r.repeat); err != nil {
			return catalog.Signing{}, err
		}
	}
	next, err := current.Rotate(r.next, r.overlap, time.Now())
	if err != nil {
		return catalog.Signing{}, newProblem(kindManySecrets, "wait until one expires, or rotate with the overlap 0s")
	}
	return next, nil
}

func (s *Server) rotateSecret(c *call) error {
	r, err := s.readRotation(c)
	if err != nil {
		return err
	}
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	ifRevision, err := c.ifMatch(view.Webhook.Revision)
	if err != nil {
		return err
	}
	note := written{generated: r.generated}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	view, err = s.opts.Registry.UpdateWebhook(ctx, c.tenant, view.Webhook.UID, ifRevision, func(w *catalog.Webhook) error {
		if err := rotates(w); err != nil {
			return err
		}
		var err error
		if w.Signing, err = r.apply(w.Signing); err != nil {
			return err
		}
		w.Normalize()
		note.warnings, err = w.Validate(s.rules(c.tenant))
		return err
	})
	if errors.Is(err, errRotated) {
		c.Response().Header().Set(headerReplayed, "true")
		if view, err = s.webhook(c); err != nil {
			return err
		}
		return s.answerWebhook(c, http.StatusOK, view, written{})
	}
	if err != nil {
		return storeProblem(err)
	}
	return s.answerWebhook(c, http.StatusOK, view, note)
}

// rotates refuses webhooks without a secret of their own.
func rotates(w *catalog.Webhook) error {
	switch {
	case w.Integration != "":
		return newProblem(kindNoSecret, "the integration that it uses signs; rotate the secret of that")
	case w.Format == catalog.FormatOcelot:
		return newProblem(kindNoSecret, "its format is not signed")
	case w.Format == catalog.FormatReceeve:
		return newProblem(kindNoSecret, "its format is signed with the tenant's key pair")
	case !w.Signing.Enabled:
		return newProblem(kindNoSecret, "signing is disabled; enable it first")
	}
	return nil
}

// rotatedBefore finds the secret that an earlier request with the same key made. With another body under it that is
// refused.
func rotatedBefore(signing catalog.Signing, repeat idempotency) error {
	key, tag := repeat.rotationTag()
	for _, secret := range signing.Secrets {
		switch {
		case secret.Tag == tag:
			return errRotated
		case strings.HasPrefix(secret.Tag, key):
			return newProblem(kindKeyReused, "use a new key for a new request")
		}
	}
	return nil
}
