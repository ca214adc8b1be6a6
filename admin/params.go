package admin

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// defaultLimit is how many items a page has when the client does not say; the document bounds what it may say.
const defaultLimit = 50

// checkParameters refuses query parameters that are not documented: a misspelt filter would select everything. Of
// headers only the documented ones are looked at.
func checkParameters(c *call) error {
	for name, values := range c.QueryParams() {
		parameter, ok := c.op.Query(name)
		switch {
		case !ok:
			return &problem{
				kind: kindBadRequest, detail: "unknown query parameter", errors: []fieldMessage{{shorten(name), "unknown parameter"}},
			}
		case len(values) > 1:
			return badParameter(name, "occurs more than once")
		}
		if found := parameter.CheckText(values[0]); len(found) > 0 {
			return badParameter(name, found[0].Message)
		}
	}
	for _, parameter := range c.op.Parameters {
		values := c.Request().Header.Values(parameter.Name)
		if parameter.In != "header" || len(values) == 0 {
			continue
		}
		if found := parameter.CheckText(values[0]); len(found) > 0 {
			return badParameter(parameter.Name, found[0].Message)
		}
	}
	return nil
}

// shorten keeps what a client wrote from filling an answer.
func shorten(text string) string {
	const most = 64
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

// limit of the page, within the documented bounds.
func (c *call) limit() int {
	if n, err := strconv.Atoi(c.QueryParam("limit")); err == nil {
		return n
	}
	return defaultLimit
}

// time is a query parameter that was checked to be a time; zero when it is not there.
func (c *call) time(name string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, c.QueryParam(name))
	return t
}

// listing names what a cursor pages through, so that the cursor of one list is refused by another.
type listing string

// The lists.
const (
	listOfWebhooks     listing = "webhooks"
	listOfIntegrations listing = "integrations"
	listOfDiverted     listing = "diverted"
	listOfEventTypes   listing = "event-types"
	listOfMatches      listing = "matches"
	listOfAttempts     listing = "attempts"
	listOfHistory      listing = "history"
	listOfRejected     listing = "rejected"
	listOfJobs         listing = "jobs"
	listOfKeys         listing = "keys"
	listOfAudit        listing = "audit"
	listOfBreakers     listing = "breakers"
)

// etag is how a revision is sent.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// errStale is returned for an If-Match that no revision can satisfy.
var errStale = errors.New("no revision matches")

// ifMatch turns If-Match into the revision that a write demands, 0 for any. A single tag goes to the store, which
// decides on the latest revision; of several the one that is current here is demanded. Weak tags never match.
func ifMatch(header string, current int64) (int64, error) {
	if header == "" || strings.TrimSpace(header) == "*" {
		return 0, nil
	}
	var tags []int64
	for _, tag := range strings.Split(header, ",") {
		digits := strings.Trim(strings.TrimSpace(tag), `"`)
		n, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && n > 0 && etag(n) == strings.TrimSpace(tag) {
			tags = append(tags, n)
		}
	}
	for _, n := range tags {
		if len(tags) == 1 || n == current {
			return n, nil
		}
	}
	return 0, errStale
}

// ifMatch of this request.
func (c *call) ifMatch(current int64) (int64, error) {
	revision, err := ifMatch(c.Request().Header.Get("If-Match"), current)
	if err != nil {
		return 0, newProblem(kindRevision, "If-Match names no revision; it is the quoted number that ETag showed")
	}
	return revision, nil
}
