package admin

import "net/http"

// suspendedByOperator is the reason of a suspension that nobody gave another one.
const suspendedByOperator = "operator"

func (s *Server) suspendWebhook(c *call) error {
	sent, _, err := c.body()
	if err != nil {
		return err
	}
	request := struct {
		Reason string `json:"reason"`
	}{Reason: suspendedByOperator}
	if err := fill(&request, sent, nil); err != nil {
		return err
	}
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	suspension, err := s.opts.Registry.Suspend(ctx, view.Webhook.UID, request.Reason, "")
	if err != nil {
		return storeProblem(err)
	}
	view.Suspension = suspension
	return s.answerWebhook(c, http.StatusOK, view, written{})
}

func (s *Server) unsuspendWebhook(c *call) error {
	sent, _, err := c.body()
	if err != nil {
		return err
	}
	request := struct {
		Resend bool `json:"resend"`
	}{Resend: true}
	if err := fill(&request, sent, nil); err != nil {
		return err
	}
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	view, err = s.opts.Registry.Unsuspend(ctx, c.tenant, view.Webhook.UID, request.Resend)
	if err != nil {
		return storeProblem(err)
	}
	return s.answerWebhook(c, http.StatusOK, view, written{})
}
