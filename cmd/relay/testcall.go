package main

import (
	"context"
	"errors"
	"fmt"

	"eventrelay/admin"
	"eventrelay/catalog"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/outbound"
)

// tester is the dispatcher as the admin API sees it.
type tester struct{ dispatcher *deliver.Dispatcher }

// Test implements admin.Tester.
func (t tester) Test(ctx context.Context, w *catalog.Webhook, in *catalog.Integration, ev *catalog.Event) (*admin.Exchange, error) {
	x, err := t.dispatcher.Test(ctx, w, in, ev)
	if errors.Is(err, deliver.ErrCannotSend) {
		return nil, fmt.Errorf("%w: %w", admin.ErrCannotSend, err)
	}
	if err != nil {
		return nil, err
	}
	return &admin.Exchange{
		URL: x.URL, Headers: adminHeaders(x.Headers), Body: x.Body, Status: x.Status, Error: string(x.Class),
		ResponseHeaders: adminHeaders(x.ResponseHeaders), ResponseBody: x.ResponseBody, Latency: x.Latency,
	}, nil
}

func adminHeaders(headers []outbound.Header) []admin.Header {
	list := make([]admin.Header, len(headers))
	for i, h := range headers {
		list[i] = admin.Header(h)
	}
	return list
}
