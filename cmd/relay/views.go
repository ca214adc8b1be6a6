package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"eventrelay/admin"
	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/announce"
	"eventrelay/relay/divert"
	"eventrelay/relay/intake"
	"eventrelay/relay/registry"
)

// deliveryView is the registry as deliveries see it.
type deliveryView struct{ *registry.Registry }

func (v deliveryView) Webhook(uid string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration) {
	if alerted, ok := relay.AlertedUID(uid); ok {
		return v.alerts(alerted)
	}
	view, _ := v.View(uid)
	return view.Webhook, view.Suspension, view.Integration
}

// alerts is the webhook that the alerts about another one are delivered to.
func (v deliveryView) alerts(uid string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration) {
	view, _ := v.View(uid)
	webhook := announce.AlertWebhook(view.Webhook)
	if webhook == nil {
		return nil, nil, nil
	}
	integration, _ := v.Integration(webhook.Tenant, webhook.Integration)
	return webhook, nil, integration
}

// Suspend suspends a webhook because of the delivery of an event.
func (v deliveryView) Suspend(ctx context.Context, uid, eventType, reason, lastFailure string) (*catalog.Suspension, error) {
	return v.SuspendAfter(ctx, uid, eventType, reason, lastFailure)
}

// announceExpired tells the owner of a webhook what was removed of its diverted events. A deleted webhook has nobody to
// tell any more: for those, the log and the metric say it.
func announceExpired(hooks *registry.Registry, announcer *announce.Announcer) func(uid string, count int, oldest time.Time) {
	return func(uid string, count int, oldest time.Time) {
		if v, ok := hooks.View(uid); ok && v.Webhook != nil {
			announcer.Expired(v.Webhook, count, oldest)
		}
	}
}

// instances counts the live members of the consumer group, by which the limits of endpoints are divided.
type instances struct {
	group string
	admin *kadm.Client
	live  atomic.Int64
}

const countEvery = 10 * time.Second

func (i *instances) count() int { return int(max(1, i.live.Load())) }

func (i *instances) run(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		if groups, err := i.admin.DescribeGroups(ctx, i.group); err == nil {
			i.live.Store(int64(len(groups[i.group].Members)))
		} // else: the last count stands
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// health answers /readyz: what a start waits for, and what is wrong later.
type health struct {
	registry *registry.Registry
	journal  *relay.Journal
	diverted *divert.Store
	relay    bool
	started  atomic.Bool // every listener is open and intake has begun
	intake   *intake.Group
	retry    *intake.Group
}

func (h *health) checks() []admin.Check {
	status := h.registry.Status()
	broken := ""
	if status.Err != nil {
		broken = status.Err.Error()
	}
	list := []admin.Check{
		check("started", h.started.Load(), "the start to finish"),
		check("subscriptions_topic", status.Err == nil, "an operator and a restart: "+broken),
		check("subscriptions_complete", status.Complete, "the subscriptions to be read to the end of their topic"),
		check("subscriptions_fresh", h.registry.Fresh(), "the subscriptions to be confirmed against Kafka; intake pauses until they are"),
		check("writes", h.journal.Failing()+h.diverted.Failing() == 0, "Kafka to take retry, diverted and rejected records again; nothing is committed until it does"),
	}
	if h.relay {
		halted := append(h.intake.Halted(), h.retry.Halted()...)
		refused := append(h.intake.Refused(), h.retry.Refused()...)
		list = append(list, check("consumer_groups", len(refused) == 0, "Kafka to let this instance read and commit: "+strings.Join(refused, "; ")),
			check("partitions", len(halted) == 0, "an operator to look at halted partitions: "+strings.Join(halted, "; ")))
	}
	return list
}

func check(name string, ok bool, waitsFor string) admin.Check {
	if ok {
		waitsFor = ""
	}
	return admin.Check{Name: name, OK: ok, WaitsFor: waitsFor}
}

func keys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
