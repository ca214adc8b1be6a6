package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/divert"
	"eventrelay/relay/jobs"
)

var _ Jobs = (*jobs.Store)(nil)

// fakeJobs keeps jobs in a slice, newest first. Nobody carries them out.
type fakeJobs struct {
	mu   sync.Mutex
	jobs []jobs.Job
	fail error
}

func newFakeJobs() *fakeJobs { return &fakeJobs{} }

func (f *fakeJobs) List(_ context.Context, q jobs.Query) (jobs.Page, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, err := strconv.Atoi(q.Cursor)
	switch {
	case f.fail != nil:
		return jobs.Page{}, f.fail
	case err != nil && q.Cursor != "":
		return jobs.Page{}, jobs.ErrBadCursor
	}
	var page jobs.Page
	for i, j := range f.jobs {
		if i < from || j.Tenant != q.Tenant || (q.UID != "" && j.Selection.UID != q.UID) || (q.Kind != "" && j.Kind != q.Kind) || (q.State != "" && j.State() != q.State) {
			continue
		}
		if len(page.Items) == q.Limit {
			page.Next = strconv.Itoa(i)
			break
		}
		page.Items = append(page.Items, j)
	}
	return page, nil
}

func (f *fakeJobs) find(tenant, id string) (*jobs.Job, error) {
	i := slices.IndexFunc(f.jobs, func(j jobs.Job) bool { return j.Tenant == tenant && j.ID == id })
	switch {
	case f.fail != nil:
		return nil, f.fail
	case i < 0:
		return nil, fmt.Errorf("job %s: %w", id, jobs.ErrNotFound)
	}
	return &f.jobs[i], nil
}

func (f *fakeJobs) Get(_ context.Context, tenant, id string) (jobs.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, err := f.find(tenant, id)
	if err != nil {
		return jobs.Job{}, err
	}
	return *j, nil
}

func (f *fakeJobs) Cancel(_ context.Context, tenant, id string) (jobs.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, err := f.find(tenant, id)
	if err != nil {
		return jobs.Job{}, err
	}
	j.CancelRequested = time.Now()
	return *j, nil
}

func (f *fakeDiverted) Start(_ context.Context, b divert.Bulk) (jobs.Job, error) {
	if _, err := f.Count(context.Background(), b.Tenant, b.Selection); err != nil {
		return jobs.Job{}, err
	}
	f.jobs.mu.Lock()
	defer f.jobs.mu.Unlock()
	if j, err := f.jobs.find(b.Tenant, b.ID); err == nil {
		return *j, nil
	}
	j := jobs.Job{Definition: jobs.Definition{ID: b.ID, Tenant: b.Tenant, Kind: b.Kind, Selection: b.Selection, Created: time.Now(), Fingerprint: b.Fingerprint}}
	f.jobs.jobs = slices.Insert(f.jobs.jobs, 0, j)
	return j, nil
}

func (f *fakeDiverted) Count(_ context.Context, tenant string, sel jobs.Selection) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return 0, f.fail
	}
	known, n := false, int64(0)
	for _, d := range f.events {
		if d.Tenant == tenant && d.UID == sel.UID {
			known = true
			if sel.Type == "" || sel.Type == d.EventType {
				n++
			}
		}
	}
	if !known {
		return 0, divert.ErrNotFound
	}
	return n, nil
}

// divertedJobs is an API with one webhook that has three diverted events.
func divertedJobs(t *testing.T) (*api, string) {
	a := newAPI(t)
	uid := a.create(minimal)
	for i := range 3 {
		a.diverted.add("default", uid, fmt.Sprint("dlv_", i), debtPaid(`{}`))
	}
	return a, uid
}

const (
	resendMany = "/v1/webhooks/orders/diverted/resend"
	deleteMany = "/v1/webhooks/orders/diverted"
)

func TestJobs_ResendMany(t *testing.T) {
	a, uid := divertedJobs(t)
	got := a.do(http.MethodPost, resendMany, `{"type":"debt.paid","reason":"suspended","transactionId":"tx","eventId":"e","from":"2026-01-01T00:00:00Z","to":"2026-02-01T00:00:00+01:00"}`).is(http.StatusAccepted).json()
	require.Equal(t, "resend", got["kind"])
	require.Equal(t, "queued", got["state"])
	require.Equal(t, uid, got["uid"])
	require.Nil(t, got["started"])
	require.Equal(t, map[string]any{
		"type": "debt.paid", "reason": "suspended", "transactionId": "tx", "eventId": "e", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00+01:00",
	}, got["selection"])
	require.Equal(t, got, a.do(http.MethodGet, "/v1/jobs/"+got["id"].(string), "").is(http.StatusOK).json())
	whole := a.do(http.MethodPost, resendMany, "").is(http.StatusAccepted).json()
	require.Empty(t, whole["selection"])
	for _, body := range []string{`{"typo":1}`, `{"from":"yesterday"}`, `{"dryRun":"yes"}`, `[]`} {
		a.do(http.MethodPost, resendMany, body).problem(kindInvalid)
	}
	a.do(http.MethodPost, "/v1/webhooks/unknown/diverted/resend", "").problem(kindNotFound)
}

func TestJobs_DeleteMany(t *testing.T) {
	a, uid := divertedJobs(t)
	got := a.do(http.MethodDelete, deleteMany+"?type=debt.paid&from=2026-01-01T00:00:00Z", "").is(http.StatusAccepted).json()
	require.Equal(t, "delete", got["kind"])
	require.Equal(t, map[string]any{"type": "debt.paid", "from": "2026-01-01T00:00:00Z"}, got["selection"])
	for _, query := range []string{"?typ=debt.paid", "?dryRun=yes", "?from=x", "?limit=1"} {
		a.do(http.MethodDelete, deleteMany+query, "").problem(kindBadRequest)
	}
	require.Len(t, a.jobs.jobs, 1, "a misspelt filter selects nothing rather than everything")
	a.do(http.MethodDelete, "/v1/webhooks/orders", "").is(http.StatusNoContent)
	a.do(http.MethodDelete, deleteMany, "").problem(kindNotFound)
	a.do(http.MethodDelete, "/v1/webhooks/"+uid+"/diverted", "").is(http.StatusAccepted)
}

func TestJobs_DryRun(t *testing.T) {
	a, _ := divertedJobs(t)
	require.Equal(t, map[string]any{"dryRun": true, "selected": 3.0}, a.do(http.MethodPost, resendMany, `{"dryRun":true}`).is(http.StatusOK).json())
	require.Equal(t, map[string]any{"dryRun": true, "selected": 0.0}, a.do(http.MethodDelete, deleteMany+"?dryRun=true&type=claim.open", "").is(http.StatusOK).json())
	require.Empty(t, a.jobs.jobs)
	a.do(http.MethodDelete, deleteMany+"?dryRun=false", "").is(http.StatusAccepted)
}

func TestJobs_Idempotency(t *testing.T) {
	a, _ := divertedJobs(t)
	key := header{"Idempotency-Key", "k"}
	first := a.do(http.MethodPost, resendMany, `{"type":"debt.paid"}`, key).is(http.StatusAccepted).json()
	again := a.do(http.MethodPost, resendMany, ` {"type": "debt.paid"}`, key).is(http.StatusAccepted).json()
	require.Equal(t, first["id"], again["id"])
	a.do(http.MethodPost, resendMany, `{"type":"debt.due"}`, key).problem(kindKeyReused)
	deleted := a.do(http.MethodDelete, deleteMany, "", key).is(http.StatusAccepted).json()
	require.NotEqual(t, first["id"], deleted["id"], "another operation")
	require.NotEqual(t, a.do(http.MethodPost, resendMany, "").json()["id"], a.do(http.MethodPost, resendMany, "").json()["id"])

	other := a.create(`{"id":"other","url":"https://example.com/hook"}`)
	a.diverted.add("default", other, "dlv_9", debtPaid(`{}`))
	a.do(http.MethodPost, "/v1/webhooks/other/diverted/resend", `{"type":"debt.paid"}`, key).problem(kindKeyReused)
}

func TestJobs_ListCancelAndTenants(t *testing.T) {
	a, uid := divertedJobs(t)
	var created []string
	for range 3 {
		created = append(created, a.do(http.MethodPost, resendMany, "").is(http.StatusAccepted).json()["id"].(string))
	}
	first := a.do(http.MethodGet, "/v1/jobs?limit=2", "").is(http.StatusOK).json()
	require.Len(t, first["items"], 2)
	second := a.do(http.MethodGet, "/v1/jobs?limit=2&cursor="+first["nextCursor"].(string), "").is(http.StatusOK).json()
	require.Equal(t, created[0], second["items"].([]any)[0].(map[string]any)["id"])
	require.Nil(t, second["nextCursor"])

	require.Equal(t, "cancelling", a.do(http.MethodDelete, "/v1/jobs/"+created[0], "").is(http.StatusAccepted).json()["state"])
	failed := &a.jobs.jobs[0]
	failed.Progress = jobs.Progress{State: jobs.StateFailed, Selected: 5, Done: 2, Failed: 1, Started: failed.Created, Updated: failed.Created, Finished: failed.Created, Error: "gone"}
	for query, want := range map[string]int{"state=cancelling": 1, "state=failed": 1, "kind=delete": 0, "kind=resend": 3, "uid=" + uid: 3, "uid=x": 0} {
		require.Len(t, a.do(http.MethodGet, "/v1/jobs?"+query, "").is(http.StatusOK).json()["items"], want, query)
	}
	got := a.do(http.MethodGet, "/v1/jobs/"+failed.ID, "").is(http.StatusOK).json()
	require.Equal(t, []any{5.0, 2.0, 1.0, "gone"}, []any{got["selected"], got["done"], got["failed"], got["error"]})
	for _, query := range []string{"state=none", "kind=none", "cursor=!", "cursor=" + "d2ViaG9va3M6YQ"} {
		a.do(http.MethodGet, "/v1/jobs?"+query, "").problem(kindBadRequest)
	}

	other := header{"Relay-Tenant", "other"}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		a.do(method, "/v1/jobs/"+created[1], "", other).problem(kindNotFound)
		a.do(method, "/v1/jobs/origin%2Frelay", "").problem(kindNotFound)
		a.do(method, "/v1/jobs/job_unknown", "").problem(kindNotFound)
	}
	require.Empty(t, a.do(http.MethodGet, "/v1/jobs", "", other).is(http.StatusOK).json()["items"])
	a.do(http.MethodPost, "/v1/webhooks/"+uid+"/diverted/resend", "", other).problem(kindNotFound)
	a.do(http.MethodDelete, "/v1/webhooks/"+uid+"/diverted", "", other).problem(kindNotFound)
	a.do(http.MethodDelete, "/v1/webhooks/"+uid+"/diverted?dryRun=true", "", other).problem(kindNotFound)
}

func TestJobs_StoreErrors(t *testing.T) {
	a, _ := divertedJobs(t)
	for _, tt := range []struct {
		err  error
		kind kind
	}{
		{divert.ErrIndexBehind, kindIndexBehind}, {divert.ErrInactive, kindInactive}, {jobs.ErrTooMany, kindTooManyJobs},
		{jobs.ErrBehind, kindUnavailable}, {fmt.Errorf("dial tcp 10.1.2.3:9092: refused"), kindUnavailable},
	} {
		a.diverted.fail, a.jobs.fail = tt.err, tt.err
		for _, answer := range []reply{
			a.do(http.MethodPost, resendMany, ""), a.do(http.MethodDelete, deleteMany, ""), a.do(http.MethodPost, resendMany, `{"dryRun":true}`),
			a.do(http.MethodGet, "/v1/jobs", ""), a.do(http.MethodGet, "/v1/jobs/job_1", ""), a.do(http.MethodDelete, "/v1/jobs/job_1", ""),
		} {
			answer.problem(tt.kind)
			require.NotContains(t, string(answer.body), "10.1.2.3")
		}
	}
}

// A job's times are written as they were given, so that none can be given that cannot be written.
func TestJobs_ExtremeTimes(t *testing.T) {
	a, _ := divertedJobs(t)
	for _, at := range []string{"0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"} {
		got := a.do(http.MethodPost, resendMany, `{"from":"`+at+`"}`)
		if got.status != http.StatusAccepted {
			got.problem(kindInvalid)
			continue
		}
		require.Equal(t, at, got.json()["selection"].(map[string]any)["from"])
	}
	require.Equal(t, catalog.DefaultTenant, a.jobs.jobs[0].Tenant)
}
