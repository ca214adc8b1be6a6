package dialect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"

	"golang.org/x/sync/errgroup"

	"eventrelay/catalog"
	"eventrelay/relay/divert"
)

// Bounds of a page of diverted events.
const (
	socotraPage    = 100
	socotraMaxPage = 500
)

// socotraDiverted is a WebhookDivertedEventResponse without its data, which is spliced in.
type socotraDiverted struct {
	EventType     string `json:"eventType"`
	Timestamp     string `json:"timestamp"`
	EventID       string `json:"eventId"`
	TransactionID string `json:"transactionId"`
	Username      string `json:"username,omitempty"`
}

// listDiverted answers a page, the latest diverted first. It is written event by event: a page may hold many large
// ones. An event that is resolved while the page is written is left out of it.
func (d socotra) listDiverted(ctx context.Context, c *Call) (Reply, error) {
	limit, err := c.IntQuery("limit", socotraPage, 0, socotraMaxPage)
	if err != nil {
		return Reply{}, err
	}
	offset, err := c.IntQuery("offset", 0, 0, math.MaxInt32)
	if err != nil {
		return Reply{}, err
	}
	view, err := d.named(c)
	if err != nil {
		return Reply{}, err
	}
	var page divert.Page
	if limit > 0 {
		if page, err = d.Diverted.ListAt(ctx, c.Tenant, view.Webhook.UID, offset, limit); err != nil {
			return Reply{}, err
		}
	}
	return Reply{Stream: func(w io.Writer) error { return d.writeDiverted(ctx, w, view.Webhook.ID, page.Items) }}, nil
}

func (d socotra) writeDiverted(ctx context.Context, w io.Writer, webhook string, entries []divert.Entry) error {
	name, err := marshal(webhook)
	if err != nil {
		return err
	}
	next := []byte(`{"webhookName":` + string(name) + `,"events":[`)
	first := true
	for _, e := range entries {
		detail, err := d.Diverted.Read(ctx, e)
		switch {
		case errors.Is(err, divert.ErrNotFound):
			continue
		case err != nil:
			return err
		}
		event, err := encodeSocotraDiverted(detail)
		if err != nil {
			return err
		}
		if !first {
			next = append(next, ',')
		}
		first = false
		if _, err := w.Write(append(next, event...)); err != nil {
			return fmt.Errorf("answer diverted events: %w", err)
		}
		next = next[:0]
	}
	if _, err := w.Write(append(next, "]}"...)); err != nil {
		return fmt.Errorf("answer diverted events: %w", err)
	}
	return nil
}

// encodeSocotraDiverted puts the data last, in the bytes that the platform wrote. Data that is not JSON, which no
// delivery in the platform's format can carry either, is shown as the base64 of it.
func encodeSocotraDiverted(detail divert.Detail) ([]byte, error) {
	ev := detail.Delivery.Event
	head, err := marshal(socotraDiverted{
		EventType: ev.Type, Timestamp: socotraTimestamp(ev.Time), EventID: cmp.Or(ev.ID, detail.DeliveryID),
		TransactionID: detail.Entry.Transaction(), Username: ev.User.Name,
	})
	if err != nil {
		return nil, err
	}
	data := ev.Data
	switch {
	case len(data) == 0:
		data = []byte("null") // as in the payload
	case !json.Valid(data):
		data = []byte(`"` + base64.StdEncoding.EncodeToString(data) + `"`)
	}
	event := make([]byte, 0, len(head)+len(data)+len(`,"data":`))
	event = append(append(event, head[:len(head)-1]...), `,"data":`...)
	return append(append(event, data...), '}'), nil
}

// marshal is json.Marshal without escaping for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// deleteDiverted removes all events of the transaction.
func (d socotra) deleteDiverted(ctx context.Context, c *Call) (Reply, error) {
	return Reply{}, d.eachOfTransaction(ctx, c, func(ctx context.Context, e divert.Entry) error {
		return d.Diverted.Delete(ctx, c.Tenant, e.UID, e.DeliveryID)
	})
}

// resendDiverted sends all events of the transaction again, save those that are on their way already.
func (d socotra) resendDiverted(ctx context.Context, c *Call) (Reply, error) {
	err := d.eachOfTransaction(ctx, c, func(ctx context.Context, e divert.Entry) error {
		_, err := d.Diverted.ResendOne(ctx, c.Tenant, e.UID, e.DeliveryID)
		if errors.Is(err, divert.ErrResending) {
			return nil
		}
		return err
	})
	if errors.Is(err, divert.ErrInactive) {
		err = Refuse(http.StatusConflict, "The webhook is suspended or disabled, so nothing can be sent to it")
	}
	return Reply{}, err
}

// transactionWorkers act on so many events of a transaction at once: most of the time each waits for Kafka.
const transactionWorkers = 16

// eachOfTransaction acts on every diverted event of the transaction that the path names. One that was resolved in the
// meantime is none any more. After an error some may be left; repeating the call acts on those.
func (d socotra) eachOfTransaction(ctx context.Context, c *Call, act func(context.Context, divert.Entry) error) error {
	view, err := d.named(c)
	if err != nil {
		return err
	}
	entries, err := d.ofTransaction(ctx, view.Webhook, c.Params["transactionId"])
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return Refuse(http.StatusNotFound, "Webhook %q has no diverted event of transaction %q", shorten(view.Webhook.ID), shorten(c.Params["transactionId"]))
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transactionWorkers)
	for i := len(entries) - 1; i >= 0; i-- { // the oldest first
		group.Go(func() error {
			err := act(ctx, entries[i])
			if errors.Is(err, divert.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// ofTransaction collects the diverted events that the platform's calls address by this id, the latest first: those of
// the transaction, as in the payload, or the one without a transaction that has the id itself.
func (d socotra) ofTransaction(ctx context.Context, w *catalog.Webhook, transaction string) ([]divert.Entry, error) {
	var entries []divert.Entry
	q := divert.Query{Tenant: w.Tenant, UID: w.UID, Transaction: transaction, Limit: socotraMaxPage}
	for {
		page, err := d.Diverted.List(ctx, q)
		if err != nil {
			return nil, err
		}
		entries = append(entries, page.Items...)
		if q.Cursor = page.Next; q.Cursor == "" {
			return entries, nil
		}
	}
}
