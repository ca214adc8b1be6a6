package admin

import (
	"errors"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/divert"
	"eventrelay/relay/jobs"
	"eventrelay/relay/registry"
)

// errStoreTimeout is the cause with which a request's wait for the registry or the divert store ends.
var errStoreTimeout = errors.New("timed out waiting for the store")

// retrySoon is the Retry-After of what passes by itself: an index that catches up, a broker that elects a leader.
const retrySoon = time.Second

// retryLater is the Retry-After of what passes when work is done that takes its time.
const retryLater = time.Minute

// storeProblem decides how an error of the registry or the divert store is answered. What is not known is taken for
// an outage of what they depend on: the client may repeat the request, and is told nothing of brokers.
func storeProblem(err error) error {
	var (
		own        *problem
		validation *catalog.ValidationError
		ambiguous  *registry.AmbiguousError
		inUse      *registry.InUseError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.As(err, &validation):
		return invalid(fieldMessages(validation.Fields))
	case errors.As(err, &ambiguous):
		return &problem{kind: kindAmbiguous, detail: "use the uid of the one that is meant", uids: ambiguous.UIDs}
	case errors.As(err, &inUse):
		return &problem{kind: kindInUse, detail: "point these webhooks elsewhere first", webhooks: inUse.Webhooks}
	case errors.Is(err, catalog.ErrNoIntegration):
		return invalid([]fieldMessage{{"integration", "there is no such integration"}})
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, divert.ErrNotFound), errors.Is(err, jobs.ErrNotFound):
		return newProblem(kindNotFound, "")
	case errors.Is(err, registry.ErrExists):
		return newProblem(kindExists, "choose another id or name")
	case errors.Is(err, registry.ErrRevision):
		return newProblem(kindRevision, "it was changed since; read it again")
	case errors.Is(err, divert.ErrResending):
		return newProblem(kindResending, "its delivery is under way; it is listed again should it fail")
	case errors.Is(err, divert.ErrInactive):
		return newProblem(kindInactive, "it is deleted, disabled or suspended, so nothing can be sent to it")
	case errors.Is(err, divert.ErrBadCursor), errors.Is(err, jobs.ErrBadCursor):
		return badParameter("cursor", "is not one that this list gave")
	case errors.Is(err, divert.ErrIndexBehind):
		return &problem{kind: kindIndexBehind, detail: "what is listed would not be complete; repeat the request", retryAfter: retrySoon, cause: err}
	case errors.Is(err, jobs.ErrTooMany):
		return &problem{kind: kindTooManyJobs, detail: "wait until some have ended, or cancel some", retryAfter: retryLater}
	default:
		return &problem{
			kind:   kindUnavailable,
			detail: "a store did not answer in time; whether a write took effect is unknown until it is read", retryAfter: retrySoon, cause: err,
		}
	}
}

func fieldMessages(fields []catalog.FieldError) []fieldMessage {
	messages := make([]fieldMessage, len(fields))
	for i, f := range fields {
		messages[i] = fieldMessage{f.Path, f.Message}
	}
	return messages
}
