package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"eventrelay/catalog"
)

// breakerResource is the breaker of one endpoint on one instance.
type breakerResource struct {
	Endpoint    string                `json:"endpoint"`
	Instance    *string               `json:"instance"`
	State       catalog.BreakerState  `json:"state"`
	Forced      *catalog.BreakerState `json:"forced"`
	Reason      string                `json:"reason"`
	Since       time.Time             `json:"since"`
	NextProbe   *time.Time            `json:"nextProbe"`
	HeldUntil   *time.Time            `json:"heldUntil"`
	Failures    int                   `json:"failures"`
	Openings    int                   `json:"openings"`
	Concurrency *int                  `json:"concurrency"`
}

// breakerPage says whether the list is the whole truth.
type breakerPage struct {
	page[breakerResource]
	Complete bool `json:"complete"`
}

// Reasons of a forced breaker that no instance has come across yet; those of package breaker.
var forcedReasons = map[catalog.BreakerState]string{
	catalog.BreakerOpen: "operator_opened", catalog.BreakerClosed: "operator_closed",
}

// breakerPosition is where a breaker stands in the list. An endpoint holds no NUL: it is a JSON string of a uid and an
// office, which are validated.
func breakerPosition(b breakerResource) string {
	instance := ""
	if b.Instance != nil {
		instance = *b.Instance
	}
	return b.Endpoint + "\x00" + instance
}

func (s *Server) listBreakers(c *call) error {
	after, err := c.cursor(listOfBreakers)
	if err != nil {
		return err
	}
	wanted, err := s.breakersWanted(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	var (
		statuses []catalog.BreakerStatus
		complete bool
	)
	if s.opts.Breakers != nil {
		statuses, complete = s.opts.Breakers.List(ctx)
	}
	all := breakersOf(c.tenant, statuses, s.opts.Registry.ForcedBreakers(c.tenant))
	all = slices.DeleteFunc(all, func(b breakerResource) bool { return !wanted(b) || breakerPosition(b) <= after && after != "" })
	next := ""
	if len(all) > c.limit() {
		all = all[:c.limit()]
		next = breakerPosition(all[len(all)-1])
	}
	return c.answer(http.StatusOK, breakerPage{newPage(c, listOfBreakers, all, next), complete})
}

// breakersOf joins what the instances say with what operators decided, for one tenant, in the order of the list.
func breakersOf(tenant string, statuses []catalog.BreakerStatus, forced []*catalog.ForcedBreaker) []breakerResource {
	decided := map[string]*catalog.ForcedBreaker{}
	for _, f := range forced {
		decided[f.Endpoint] = f
	}
	var all []breakerResource
	met := map[string]bool{}
	for _, st := range statuses {
		if st.Tenant != tenant {
			continue
		}
		met[st.Endpoint] = true
		b := breakerResource{
			Endpoint: st.Endpoint, Instance: &st.Instance, State: st.State, Reason: st.Reason, Since: st.Since.UTC(), NextProbe: given(st.NextProbe),
			HeldUntil: given(st.HeldUntil), Failures: st.Failures, Openings: st.Openings,
		}
		if st.Concurrency > 0 {
			b.Concurrency = &st.Concurrency
		}
		if f := decided[st.Endpoint]; f != nil {
			b.Forced = &f.State
		}
		all = append(all, b)
	}
	for _, f := range forced {
		if !met[f.Endpoint] {
			all = append(all, breakerResource{Endpoint: f.Endpoint, State: f.State, Forced: &f.State, Reason: forcedReasons[f.State], Since: f.Since})
		}
	}
	slices.SortFunc(all, func(a, b breakerResource) int { return cmp.Compare(breakerPosition(a), breakerPosition(b)) })
	return all
}

// breakersWanted is the selection that the query asks for.
func (s *Server) breakersWanted(c *call) (func(breakerResource) bool, error) {
	endpoint, instance, state := c.QueryParam("endpoint"), c.QueryParam("instance"), catalog.BreakerState(c.QueryParam("state"))
	ofWebhook := func(string) bool { return true }
	if id := c.QueryParam("webhook"); id != "" {
		view, err := s.opts.Registry.Find(c.tenant, id)
		if err != nil {
			return nil, storeProblem(err)
		}
		own, shared := "w:"+view.Webhook.UID, ""
		if view.Integration != nil {
			shared = "i:" + view.Integration.UID
		}
		ofWebhook = func(endpoint string) bool {
			return endpoint == own || endpoint == shared || strings.HasPrefix(endpoint, own+":")
		}
	}
	return func(b breakerResource) bool {
		return (endpoint == "" || b.Endpoint == endpoint) && (state == "" || b.State == state) &&
			(instance == "" || b.Instance != nil && *b.Instance == instance) && ofWebhook(b.Endpoint)
	}, nil
}

// given is a time, or nil for none.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// forcedResource answers a command.
type forcedResource struct {
	Endpoint string                `json:"endpoint"`
	Forced   *catalog.BreakerState `json:"forced"`
	Since    *time.Time            `json:"since,omitempty"`
	Reason   string                `json:"reason,omitempty"`
}

func (s *Server) openBreaker(c *call) error  { return s.forceBreaker(c, catalog.BreakerOpen) }
func (s *Server) closeBreaker(c *call) error { return s.forceBreaker(c, catalog.BreakerClosed) }

func (s *Server) forceBreaker(c *call, state catalog.BreakerState) error {
	endpoint, err := c.param("endpoint")
	if err != nil {
		return err
	}
	sent, _, err := c.body()
	if err != nil {
		return err
	}
	var request struct {
		Reason string `json:"reason"`
	}
	if err := fill(&request, sent, nil); err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	forced, err := s.opts.Registry.ForceBreaker(ctx, c.tenant, endpoint, state, request.Reason)
	if err != nil {
		return storeProblem(err)
	}
	return c.answer(http.StatusOK, forcedResource{Endpoint: forced.Endpoint, Forced: &forced.State, Since: given(forced.Since), Reason: forced.Reason})
}

func (s *Server) resetBreaker(c *call) error {
	endpoint, err := c.param("endpoint")
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	if err := s.opts.Registry.ResetBreaker(ctx, c.tenant, endpoint); err != nil {
		return storeProblem(err)
	}
	return c.answer(http.StatusOK, forcedResource{Endpoint: endpoint})
}
