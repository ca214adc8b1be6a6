package admin

import (
	"slices"
	"strconv"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// What the filters of the lists want. They were checked against the document, so that what is there is well-formed.

// pageLooked is how many items a filtered list looks at in one go.
const pageLooked = 200

// pageOf takes up to limit items that keep wants out of a list that read gives page by page; next is the position of the
// last one when there are more.
func pageOf[T any](after string, limit int, keep func(T) bool, position func(T) string, read func(after string) ([]T, string)) (page []T, next string) {
	for {
		var items []T
		items, after = read(after)
		for _, item := range items {
			switch {
			case !keep(item):
			case len(page) < limit:
				page = append(page, item)
			default:
				return page, position(page[limit-1])
			}
		}
		if after == "" {
			return page, ""
		}
	}
}

// flag is a query parameter that is true or false; nil when it is not there.
func (c *call) flag(name string) *bool {
	value, err := strconv.ParseBool(c.QueryParam(name))
	if err != nil {
		return nil
	}
	return &value
}

// wantedWebhooks is nil when every webhook is wanted.
func (c *call) wantedWebhooks() func(registry.View) bool {
	platform, integration, eventType := catalog.Platform(c.QueryParam("platform")), c.QueryParam("integration"), c.QueryParam("eventType")
	enabled, suspended := c.flag("enabled"), c.flag("suspended")
	if platform == "" && integration == "" && eventType == "" && enabled == nil && suspended == nil {
		return nil
	}
	return func(v registry.View) bool {
		w := v.Webhook
		isSuspended := v.Suspension != nil && v.Suspension.Active
		switch {
		case platform != "" && w.Platform != platform,
			enabled != nil && w.Enabled != *enabled,
			suspended != nil && isSuspended != *suspended,
			integration != "" && w.Integration != integration && (w.Alert == nil || w.Alert.Integration != integration),
			eventType != "" && !wantsType(w, eventType):
			return false
		}
		return true
	}
}

// wantsType reports whether one of a webhook's patterns matches a type.
func wantsType(w *catalog.Webhook, eventType string) bool {
	return slices.ContainsFunc(w.Events, func(text string) bool {
		pattern, err := catalog.ParsePattern(text)
		return err == nil && pattern.Match(eventType)
	})
}

func (c *call) wantedIntegrations() func(*catalog.Integration) bool {
	kind := c.QueryParam("type")
	return func(in *catalog.Integration) bool { return kind == "" || in.Type == kind }
}

func (c *call) wantedKeys(now time.Time) func(*registry.APIKey) bool {
	held, expired := c.QueryParam("scope"), c.flag("expired")
	return func(k *registry.APIKey) bool {
		return (held == "" || slices.Contains(k.Scopes, held)) && (expired == nil || k.ExpiredAt(now) == *expired)
	}
}
