package admin

import (
	"errors"
	"net/http"
	"net/url"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

func (s *Server) listWebhooks(c *call) error {
	after, err := c.cursor(listOfWebhooks)
	if err != nil {
		return err
	}
	var views []registry.View
	var next string
	if keep := c.wantedWebhooks(); keep != nil {
		views, next = s.opts.Registry.Select(c.tenant, after, c.limit(), keep)
	} else {
		views, next = s.opts.Registry.List(c.tenant, after, c.limit())
	}
	items := make([]webhookResource, len(views))
	for i, v := range views {
		items[i] = newWebhookResource(v, written{})
	}
	return c.answer(http.StatusOK, newPage(c, listOfWebhooks, items, next))
}

// webhook finds the webhook that the path names, by uid or id.
func (s *Server) webhook(c *call) (registry.View, error) {
	id, err := c.param("id")
	if err != nil {
		return registry.View{}, err
	}
	view, err := s.opts.Registry.Find(c.tenant, id)
	return view, storeProblem(err)
}

// answerWebhook answers with a webhook and its ETag.
func (s *Server) answerWebhook(c *call, status int, v registry.View, note written) error {
	c.Response().Header().Set("ETag", etag(v.Webhook.Revision))
	return c.answer(status, newWebhookResource(v, note))
}

func (s *Server) getWebhook(c *call) error {
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	return s.answerWebhook(c, http.StatusOK, view, written{})
}

func (s *Server) createWebhook(c *call) error {
	sent, text, err := c.body()
	if err != nil {
		return err
	}
	w, note, err := webhookOf(sent, s.webhookInput.ReadOnly(), nil)
	if err != nil {
		return err
	}
	request := c.idempotency(text)
	w.Tenant, w.UID, w.Request, w.Fingerprint = c.tenant, catalog.NewUID("wh_"), request.digest, request.fingerprint
	if w.ID == "" {
		w.ID = w.UID
	}
	if view, ok := s.opts.Registry.MadeBy(c.tenant, request.digest); ok {
		return s.answerRepeat(c, view, request)
	}
	if note.warnings, err = w.Validate(s.rules(c.tenant)); err != nil {
		return storeProblem(err)
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	view, err := s.opts.Registry.CreateWebhook(ctx, w)
	if errors.Is(err, registry.ErrExists) {
		// The same request may have been under way twice.
		if before, ok := s.opts.Registry.MadeBy(c.tenant, request.digest); ok {
			return s.answerRepeat(c, before, request)
		}
	}
	if err != nil {
		return storeProblem(err)
	}
	c.Response().Header().Set("Location", "/v1/webhooks/"+url.PathEscape(view.Webhook.UID))
	return s.answerWebhook(c, http.StatusCreated, view, note)
}

func (s *Server) answerRepeat(c *call, view registry.View, request idempotency) error {
	if err := request.sameAs(view.Webhook.Fingerprint); err != nil {
		return err
	}
	c.Response().Header().Set(headerReplayed, "true")
	return s.answerWebhook(c, http.StatusOK, view, written{})
}

func (s *Server) replaceWebhook(c *call) error {
	sent, _, err := c.body()
	if err != nil {
		return err
	}
	return s.updateWebhook(c, func(*catalog.Webhook) (members, error) { return sent, nil })
}

func (s *Server) editWebhook(c *call) error {
	patch, _, err := c.body()
	if err != nil {
		return err
	}
	return s.updateWebhook(c, func(current *catalog.Webhook) (members, error) {
		shown, err := webhookMembers(current, s.webhookInput.ReadOnly())
		if err != nil {
			return nil, err
		}
		merged, err := mergePatch(shown, patch)
		if err != nil {
			return nil, err
		}
		text, err := encodeJSON(merged)
		if err != nil {
			return nil, err
		}
		return decodeObject(text, s.webhookInput)
	})
}

// updateWebhook replaces a webhook by what replacement makes of the current one. That runs where the registry
// serialises writes, so a patch never overwrites an edit that it did not see.
func (s *Server) updateWebhook(c *call, replacement func(current *catalog.Webhook) (members, error)) error {
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	ifRevision, err := c.ifMatch(view.Webhook.Revision)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	var note written // of the edit that was stored: it may run more than once
	view, err = s.opts.Registry.UpdateWebhook(ctx, c.tenant, view.Webhook.UID, ifRevision, func(w *catalog.Webhook) error {
		m, err := replacement(w)
		if err != nil {
			return err
		}
		next, n, err := webhookOf(m, s.webhookInput.ReadOnly(), w)
		if err != nil {
			return err
		}
		if n.warnings, err = next.Validate(s.rules(c.tenant)); err != nil {
			return err
		}
		*w, note = *next, n
		return nil
	})
	if err != nil {
		return storeProblem(err)
	}
	return s.answerWebhook(c, http.StatusOK, view, note)
}

func (s *Server) deleteWebhook(c *call) error {
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	ifRevision, err := c.ifMatch(view.Webhook.Revision)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	if err := s.opts.Registry.DeleteWebhook(ctx, c.tenant, view.Webhook.UID, ifRevision); err != nil {
		return storeProblem(err)
	}
	return c.NoContent(http.StatusNoContent)
}
