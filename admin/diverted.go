package admin

import (
	"net/http"

	"eventrelay/relay/divert"
)

func (s *Server) listDiverted(c *call) error { return s.answerDiverted(c, "") }

func (s *Server) listWebhookDiverted(c *call) error {
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	return s.answerDiverted(c, view.Webhook.UID)
}

func (s *Server) answerDiverted(c *call, uid string) error {
	after, err := c.cursor(listOfDiverted)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	found, err := s.opts.Diverted.List(ctx, divert.Query{
		Tenant: c.tenant, UID: uid, Cursor: after, Limit: c.limit(), Type: c.QueryParam("type"), Reason: c.QueryParam("reason"),
		TransactionID: c.QueryParam("transactionId"), EventID: c.QueryParam("eventId"), From: c.time("from"), To: c.time("to"),
	})
	if err != nil {
		return storeProblem(err)
	}
	items := make([]divertedResource, len(found.Items))
	for i, e := range found.Items {
		items[i] = newDivertedResource(e)
	}
	return c.answer(http.StatusOK, newPage(c, listOfDiverted, items, found.Next))
}

// diverted names the diverted event of the path. Whether a uid of a deleted webhook is the tenant's is the store's to
// know.
func (s *Server) diverted(c *call) (uid, deliveryID string, err error) {
	if deliveryID, err = c.param("deliveryId"); err != nil {
		return "", "", err
	}
	uid, err = s.divertedUID(c)
	return uid, deliveryID, err
}

func (s *Server) getDiverted(c *call) error {
	uid, deliveryID, err := s.diverted(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	detail, err := s.opts.Diverted.Get(ctx, c.tenant, uid, deliveryID)
	if err != nil {
		return storeProblem(err)
	}
	body, err := encodeDivertedDetail(detail)
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, mediaJSON, body)
}

func (s *Server) deleteDiverted(c *call) error {
	uid, deliveryID, err := s.diverted(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	if err := s.opts.Diverted.Delete(ctx, c.tenant, uid, deliveryID); err != nil {
		return storeProblem(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) resendDiverted(c *call) error {
	uid, deliveryID, err := s.diverted(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	entry, err := s.opts.Diverted.ResendOne(ctx, c.tenant, uid, deliveryID)
	if err != nil {
		return storeProblem(err)
	}
	return c.answer(http.StatusAccepted, newDivertedResource(entry))
}
