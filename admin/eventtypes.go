package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"eventrelay/catalog"
)

// eventTypeResource is an entry of the catalog.
type eventTypeResource struct {
	Name        string          `json:"name"`
	Domain      string          `json:"domain"`
	Platform    string          `json:"platform"`
	Description string          `json:"description"`
	Versioned   bool            `json:"versioned,omitempty"`
	Sample      json.RawMessage `json:"sample,omitempty"`
}

// position orders event types; platforms may share a name. No part holds a space.
func (e eventTypeResource) position() string { return e.Domain + " " + e.Name + " " + e.Platform }

func (s *Server) listEventTypes(c *call) error {
	after, err := c.cursor(listOfEventTypes)
	if err != nil {
		return err
	}
	domain := c.QueryParam("domain")
	var items []eventTypeResource
	for _, t := range catalog.EventTypes() {
		item := eventTypeResource{Name: t.Name, Domain: t.Domain, Platform: t.Platform, Description: t.Description, Versioned: t.Versioned, Sample: t.Sample}
		if (domain == "" || item.Domain == domain) && item.position() > after {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b eventTypeResource) int { return strings.Compare(a.position(), b.position()) })
	next := ""
	if limit := c.limit(); len(items) > limit {
		items = items[:limit]
		next = items[limit-1].position()
	}
	return c.answer(http.StatusOK, newPage(c, listOfEventTypes, items, next))
}
