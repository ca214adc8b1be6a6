package admin

import (
	"errors"
	"net/http"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// rotateIntegrationSecret is rotateSecret for what signs the deliveries of several webhooks.
func (s *Server) rotateIntegrationSecret(c *call) error {
	r, err := s.readRotation(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	for attempt := 1; ; attempt++ {
		stored, err := s.integration(c)
		if err != nil {
			return err
		}
		demanded, err := c.ifMatch(stored.Revision)
		if err != nil {
			return err
		}
		if !stored.Signing.Enabled {
			return newProblem(kindNoSecret, "signing is disabled; enable it first")
		}
		in := *stored
		in.Signing, err = r.apply(catalog.Signing{Enabled: true, Secrets: append([]catalog.SigningSecret(nil), stored.Signing.Secrets...)})
		if errors.Is(err, errRotated) {
			c.Response().Header().Set(headerReplayed, "true")
			return s.answerIntegration(c, http.StatusOK, stored, written{})
		}
		if err != nil {
			return err
		}
		note := written{generated: r.generated}
		in.Normalize()
		if note.warnings, err = in.Validate(s.rules(c.tenant)); err != nil {
			return storeProblem(err)
		}
		// The secrets before are those of that revision only.
		ifRevision := demanded
		if ifRevision == 0 {
			ifRevision = stored.Revision
		}
		put, err := s.opts.Registry.PutIntegration(ctx, &in, ifRevision)
		if errors.Is(err, registry.ErrRevision) && demanded == 0 && attempt < replaceAttempts {
			continue
		}
		if err != nil {
			return storeProblem(err)
		}
		return s.answerIntegration(c, http.StatusOK, put, note)
	}
}
