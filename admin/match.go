package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/history"
)

// maxExplained webhooks are looked at for one page; each costs compiling its filter, some 10 µs.
const maxExplained = 2000

// matchInput is an event, or the coordinates of a past one.
type matchInput struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    *int64 `json:"offset"`

	ID            string          `json:"id"`
	Source        string          `json:"source"`
	Type          string          `json:"type"`
	Domain        string          `json:"domain"`
	Office        string          `json:"office"`
	Subject       string          `json:"subject"`
	Time          time.Time       `json:"time"`
	TransactionID string          `json:"transactionId"`
	Livemode      *bool           `json:"livemode"`
	User          catalog.User    `json:"user"`
	Data          json.RawMessage `json:"data"`
}

// event is the event that a client described, as intake would have made it.
func (in *matchInput) event(tenant string) *catalog.Event {
	ev := &catalog.Event{
		ID: in.ID, Source: in.Source, Type: in.Type, Domain: in.Domain, Tenant: tenant, Office: in.Office, Subject: in.Subject,
		Time: in.Time, TransactionID: in.TransactionID, User: in.User, Livemode: in.Livemode == nil || *in.Livemode,
		Data: in.Data, Raw: in.Data, Span: catalog.Span{To: len(in.Data)},
	}
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	if ev.Domain == "" {
		if t, listed := catalog.LookupEventType(ev.Type); listed {
			ev.Domain = t.Domain
		}
	}
	if ev.Source == "" {
		ev.Source = "/relay/" + ev.Domain
	}
	return ev
}

// matchPage is a page of explanations, with what was asked about.
type matchPage struct {
	Event    *eventResource  `json:"event,omitempty"`
	Rejected *rejectedReason `json:"rejected,omitempty"`
	Items    []matchResource `json:"items"`
	Next     *string         `json:"nextCursor"`
}

type rejectedReason struct {
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// matchResource is what becomes of the event for one webhook.
type matchResource struct {
	ID      string              `json:"id"`
	UID     string              `json:"uid"`
	Matches bool                `json:"matches"`
	Outcome string              `json:"outcome"`
	Reason  catalog.MatchReason `json:"reason"`
	Pattern string              `json:"pattern,omitempty"`
	Filter  *mismatchResource   `json:"filter,omitempty"`
	Error   string              `json:"error,omitempty"`
}

// The outcomes of a match.
const (
	outcomeDeliver = "deliver"
	outcomeDivert  = "divert"
	outcomeNone    = "none"
)

type mismatchResource struct {
	Path         string             `json:"path"`
	Operator     string             `json:"operator"`
	Operand      string             `json:"operand"`
	Found        *string            `json:"found"`
	Elements     int                `json:"elements,omitempty"`
	Alternatives []mismatchResource `json:"alternatives,omitempty"`
}

func newMismatchResource(m *catalog.Mismatch) *mismatchResource {
	if m == nil {
		return nil
	}
	shown := &mismatchResource{Path: m.Path, Operator: m.Operator, Operand: m.Operand, Elements: m.Elements}
	if m.Found != "" {
		shown.Found = &m.Found
	}
	for i := range m.Alternatives {
		shown.Alternatives = append(shown.Alternatives, *newMismatchResource(&m.Alternatives[i]))
	}
	return shown
}

func newMatchResource(w *catalog.Webhook, x catalog.Explanation) matchResource {
	shown := matchResource{ID: w.ID, UID: w.UID, Matches: x.Matches(), Outcome: outcomeNone, Reason: x.Reason, Pattern: x.Pattern, Filter: newMismatchResource(x.Mismatch)}
	switch x.Reason {
	case catalog.MatchWanted:
		shown.Outcome = outcomeDeliver
	case catalog.MatchSuspended:
		shown.Outcome = outcomeDivert
	case catalog.MatchError:
		shown.Outcome, shown.Error = outcomeDivert, x.Err.Error()
	}
	return shown
}

func (s *Server) explainMatch(c *call) error {
	sent, _, err := c.body()
	if err != nil {
		return err
	}
	var in matchInput
	if err := fill(&in, sent, []string{"specversion"}); err != nil {
		return err
	}
	ev, err := s.matchEvent(c, &in)
	var rejected *history.RejectedError
	switch {
	case errors.As(err, &rejected):
		return c.answer(http.StatusOK, matchPage{Rejected: &rejectedReason{rejected.Reason, rejected.Detail}, Items: []matchResource{}})
	case err != nil:
		return err
	}
	items, next, err := s.explain(c, ev)
	if err != nil {
		return err
	}
	listed := newPage(c, listOfMatches, items, next)
	return c.answer(http.StatusOK, matchPage{Items: listed.Items, Next: listed.NextCursor, Event: &eventResource{
		ID: ev.ID, Source: ev.Source, Type: ev.Type, Domain: ev.Domain, Subject: ev.Subject, Time: ev.Time.UTC(), Office: ev.Office, TransactionID: ev.TransactionID,
	}})
}

// matchEvent is the event that the request gives or names.
func (s *Server) matchEvent(c *call, in *matchInput) (*catalog.Event, error) {
	switch {
	case in.Topic == "" && in.Offset == nil && in.Type != "":
		return in.event(c.tenant), nil
	case in.Topic == "" && in.Offset == nil:
		return nil, invalid([]fieldMessage{{"type", "give an event, with its type at least, or the topic, partition and offset of one"}})
	case in.Topic == "" || in.Offset == nil:
		return nil, invalid([]fieldMessage{{"offset", "topic and offset belong together"}})
	case in.Type != "":
		return nil, invalid([]fieldMessage{{"type", "give an event or the coordinates of one, not both"}})
	case !c.principal.may(scopeDivertedRead):
		return nil, newProblem(kindForbidden, "past events are shown to keys that have the scope "+string(scopeDivertedRead)+" too")
	}
	var ev *catalog.Event
	var rejected *history.RejectedError
	err := s.scan(c, func(ctx context.Context) error {
		var err error
		if ev, err = s.opts.Records.Event(ctx, in.Topic, in.Partition, *in.Offset); errors.As(err, &rejected) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case rejected != nil && c.principal.Tenant == "":
		return nil, rejected
	case rejected != nil || ev.Tenant != c.tenant:
		// What is another tenant's, or might be, is not there.
		return nil, historyProblem(history.ErrNotFound)
	}
	return ev, nil
}

// explain goes through the tenant's webhooks, oldest first, until the page is full or enough were looked at.
func (s *Server) explain(c *call, ev *catalog.Event) (items []matchResource, next string, err error) {
	next, err = c.cursor(listOfMatches)
	if err != nil {
		return nil, "", err
	}
	only := c.QueryParam("matching")
	limit := c.limit()
	for looked := 0; looked < maxExplained; {
		// No more than the page has room for, so that what List continues at is what the page continues at.
		views, more := s.opts.Registry.List(c.tenant, next, limit-len(items))
		for _, v := range views {
			x := v.Webhook.Explain(v.Suspension, ev)
			if only == "" || only == strconv.FormatBool(x.Matches()) {
				items = append(items, newMatchResource(v.Webhook, x))
			}
		}
		looked += max(len(views), 1)
		if next = more; next == "" || len(items) == limit {
			break
		}
	}
	return items, next, nil
}
