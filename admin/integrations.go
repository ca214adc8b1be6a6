package admin

import (
	"errors"
	"net/http"
	"net/url"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

func (s *Server) listIntegrations(c *call) error {
	after, err := c.cursor(listOfIntegrations)
	if err != nil {
		return err
	}
	integrations, next := pageOf(after, c.limit(), c.wantedIntegrations(), func(in *catalog.Integration) string { return in.Name },
		func(after string) ([]*catalog.Integration, string) {
			return s.opts.Registry.Integrations(c.tenant, after, pageLooked)
		})
	items := make([]integrationResource, len(integrations))
	for i, in := range integrations {
		items[i] = newIntegrationResource(in, written{})
	}
	return c.answer(http.StatusOK, newPage(c, listOfIntegrations, items, next))
}

// integration finds the integration that the path names.
func (s *Server) integration(c *call) (*catalog.Integration, error) {
	name, err := c.param("name")
	if err != nil {
		return nil, err
	}
	in, ok := s.opts.Registry.Integration(c.tenant, name)
	if !ok {
		return nil, newProblem(kindNotFound, "")
	}
	return in, nil
}

func (s *Server) answerIntegration(c *call, status int, in *catalog.Integration, note written) error {
	c.Response().Header().Set("ETag", etag(in.Revision))
	return c.answer(status, newIntegrationResource(in, note))
}

func (s *Server) getIntegration(c *call) error {
	in, err := s.integration(c)
	if err != nil {
		return err
	}
	return s.answerIntegration(c, http.StatusOK, in, written{})
}

func (s *Server) createIntegration(c *call) error {
	sent, text, err := c.body()
	if err != nil {
		return err
	}
	in, note, err := integrationOf(sent, s.integrationInput.ReadOnly(), nil)
	if err != nil {
		return err
	}
	request := c.idempotency(text)
	in.Tenant, in.UID, in.Request, in.Fingerprint = c.tenant, catalog.NewUID("in_"), request.digest, request.fingerprint
	if note.warnings, err = in.Validate(s.rules(c.tenant)); err != nil {
		return storeProblem(err)
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	stored, err := s.opts.Registry.PutIntegration(ctx, in, registry.IfAbsent)
	if errors.Is(err, registry.ErrExists) && request.given() {
		if before, ok := s.opts.Registry.Integration(c.tenant, in.Name); ok && before.Request == request.digest {
			return s.answerIntegrationRepeat(c, before, request)
		}
	}
	if err != nil {
		return storeProblem(err)
	}
	c.Response().Header().Set("Location", "/v1/integrations/"+url.PathEscape(stored.Name))
	return s.answerIntegration(c, http.StatusCreated, stored, note)
}

func (s *Server) answerIntegrationRepeat(c *call, in *catalog.Integration, request idempotency) error {
	if err := request.sameAs(in.Fingerprint); err != nil {
		return err
	}
	c.Response().Header().Set(headerReplayed, "true")
	return s.answerIntegration(c, http.StatusOK, in, written{})
}

// replaceAttempts bounds how often a replacement without If-Match is done again because the integration was changed
// between reading its secrets and writing.
const replaceAttempts = 5

func (s *Server) replaceIntegration(c *call) error {
	sent, _, err := c.body()
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
		in, note, err := integrationOf(sent, s.integrationInput.ReadOnly(), stored)
		if err != nil {
			return err
		}
		if in.Name == "" {
			in.Name = stored.Name
		}
		if in.Name != stored.Name {
			return invalid([]fieldMessage{{"name", "cannot be changed"}})
		}
		if note.warnings, err = in.Validate(s.rules(c.tenant)); err != nil {
			return storeProblem(err)
		}
		// What is kept of the stored one is true of that revision only.
		ifRevision := demanded
		if ifRevision == 0 {
			ifRevision = stored.Revision
		}
		put, err := s.opts.Registry.PutIntegration(ctx, in, ifRevision)
		if errors.Is(err, registry.ErrRevision) && demanded == 0 && attempt < replaceAttempts {
			continue
		}
		if err != nil {
			return storeProblem(err)
		}
		return s.answerIntegration(c, http.StatusOK, put, note)
	}
}

func (s *Server) deleteIntegration(c *call) error {
	in, err := s.integration(c)
	if err != nil {
		return err
	}
	demanded, err := c.ifMatch(in.Revision)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	if err := s.opts.Registry.DeleteIntegration(ctx, c.tenant, in.Name, demanded); err != nil {
		return storeProblem(err)
	}
	return c.NoContent(http.StatusNoContent)
}
