package admin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"eventrelay/relay/divert"
	"eventrelay/relay/jobs"
)

// selectionResource selects from a webhook's diverted events, as it is sent and answered. The times keep the offset in
// which they were written, so that they can be written again.
type selectionResource struct {
	Type          string    `json:"type,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	TransactionID string    `json:"transactionId,omitempty"`
	EventID       string    `json:"eventId,omitempty"`
	From          time.Time `json:"from,omitzero"`
	To            time.Time `json:"to,omitzero"`
}

func (r selectionResource) of(uid string) jobs.Selection {
	return jobs.Selection{
		UID: uid, Type: r.Type, Reason: r.Reason, TransactionID: r.TransactionID, EventID: r.EventID, From: r.From, To: r.To,
	}
}

// bulkRequest is what both bulk operations ask for.
type bulkRequest struct {
	selectionResource
	DryRun bool `json:"dryRun"`
}

func (s *Server) resendManyDiverted(c *call) error {
	sent, _, err := c.body()
	if err != nil {
		return err
	}
	var request bulkRequest
	if err := fill(&request, sent, nil); err != nil {
		return err
	}
	return s.startJob(c, jobs.KindResend, request)
}

func (s *Server) deleteManyDiverted(c *call) error {
	return s.startJob(c, jobs.KindDelete, bulkRequest{
		selectionResource: selectionResource{
			Type: c.QueryParam("type"), Reason: c.QueryParam("reason"), TransactionID: c.QueryParam("transactionId"),
			EventID: c.QueryParam("eventId"), From: c.time("from"), To: c.time("to"),
		},
		DryRun: c.QueryParam("dryRun") == "true",
	})
}

// startJob answers a dry run with a number and everything else with the job that it became. A webhook that is deleted
// is named by its uid; whether that is the tenant's is the store's to know.
func (s *Server) startJob(c *call, kind jobs.Kind, request bulkRequest) error {
	uid, err := s.divertedUID(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	selection := request.of(uid)
	if request.DryRun {
		n, err := s.opts.Diverted.Count(ctx, c.tenant, selection)
		if err != nil {
			return storeProblem(err)
		}
		return c.answer(http.StatusOK, map[string]any{"dryRun": true, "selected": n})
	}
	text, err := encodeJSON(selection) // the webhook is part of what was asked for
	if err != nil {
		return err
	}
	once := c.idempotency(text)
	job, err := s.opts.Diverted.Start(ctx, divert.Bulk{
		ID: once.uid(jobs.IDPrefix), Tenant: c.tenant, Kind: kind, Selection: selection, Fingerprint: once.fingerprint,
	})
	if err != nil {
		return storeProblem(err)
	}
	if once.given() {
		if err := once.sameAs(job.Fingerprint); err != nil {
			return err
		}
	}
	return c.answer(http.StatusAccepted, newJobResource(job))
}

// divertedUID is the webhook of the path, by its uid if it is deleted.
func (s *Server) divertedUID(c *call) (string, error) {
	view, err := s.webhook(c)
	var p *problem
	switch {
	case err == nil:
		return view.Webhook.UID, nil
	case errors.As(err, &p) && p.kind == kindNotFound:
		return c.param("id")
	default:
		return "", err
	}
}

// jobResource is a job as it is answered.
type jobResource struct {
	ID        string            `json:"id"`
	Kind      jobs.Kind         `json:"kind"`
	UID       string            `json:"uid"`
	Selection selectionResource `json:"selection"`
	State     jobs.State        `json:"state"`
	Selected  int64             `json:"selected"`
	Done      int64             `json:"done"`
	Failed    int64             `json:"failed"`
	Created   time.Time         `json:"created"`
	Started   *time.Time        `json:"started"`
	Updated   *time.Time        `json:"updated"`
	Finished  *time.Time        `json:"finished"`
	Error     *string           `json:"error"`
}

func newJobResource(j jobs.Job) jobResource {
	sel, p := j.Selection, j.Progress
	r := jobResource{
		ID: j.ID, Kind: j.Kind, UID: sel.UID, State: j.State(), Selected: p.Selected, Done: p.Done, Failed: p.Failed,
		Selection: selectionResource{Type: sel.Type, Reason: sel.Reason, TransactionID: sel.TransactionID, EventID: sel.EventID, From: sel.From, To: sel.To},
		Created:   j.Created.UTC(), Started: timeOrNull(p.Started), Updated: timeOrNull(p.Updated), Finished: timeOrNull(p.Finished),
	}
	if p.Error != "" {
		r.Error = &p.Error
	}
	return r
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *Server) listJobs(c *call) error {
	after, err := c.cursor(listOfJobs)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	found, err := s.opts.Jobs.List(ctx, jobs.Query{
		Tenant: c.tenant, Kind: jobs.Kind(c.QueryParam("kind")), State: jobs.State(c.QueryParam("state")), UID: c.QueryParam("uid"),
		Cursor: after, Limit: c.limit(),
	})
	if err != nil {
		return storeProblem(err)
	}
	items := make([]jobResource, len(found.Items))
	for i, j := range found.Items {
		items[i] = newJobResource(j)
	}
	return c.answer(http.StatusOK, newPage(c, listOfJobs, items, found.Next))
}

// jobID of the path. What cannot be one's names none.
func (c *call) jobID() (string, error) {
	id, err := c.param("id")
	if err == nil && !strings.HasPrefix(id, jobs.IDPrefix) {
		err = newProblem(kindNotFound, "")
	}
	return id, err
}

func (s *Server) getJob(c *call) error {
	id, err := c.jobID()
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	job, err := s.opts.Jobs.Get(ctx, c.tenant, id)
	if err != nil {
		return storeProblem(err)
	}
	return c.answer(http.StatusOK, newJobResource(job))
}

func (s *Server) cancelJob(c *call) error {
	id, err := c.jobID()
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	job, err := s.opts.Jobs.Cancel(ctx, c.tenant, id)
	if err != nil {
		return storeProblem(err)
	}
	return c.answer(http.StatusAccepted, newJobResource(job))
}
