package history

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed push.lua
var pushSource string

var pushScript = redis.NewScript(pushSource)

// keys name what is in Redis. All keys of a webhook are in one hash slot.
type keys struct{ prefix string }

// since is when the counts begin: Unix milliseconds.
func (k keys) since() string { return k.prefix + "history:since" }

func (k keys) webhook(uid string) string { return k.prefix + "{history:" + uid + "}:" }
func (k keys) all(uid string) string     { return k.webhook(uid) + "all" }
func (k keys) failed(uid string) string  { return k.webhook(uid) + "failed" }

func (k keys) counts(uid string, g grain, group int64) string {
	return k.webhook(uid) + g.letter + ":" + strconv.FormatInt(group, 10)
}

// write writes one batch and says in Redis since when the counts are complete. A batch that fails is not repeated: it may
// have been applied, and what comes next is more worth having.
func (r *Recent) write(ctx context.Context) {
	batch := r.take()
	if len(batch) == 0 && !r.incomplete.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	anew := r.incomplete.Swap(false)
	calls := make([]push, len(batch))
	for i, t := range batch {
		calls[i] = r.keys.push(t)
	}
	r.recycle(batch)
	refused, err := r.apply(ctx, calls, anew)
	if len(refused) > 0 {
		if err = pushScript.Load(ctx, r.redis).Err(); err == nil {
			_, err = r.apply(ctx, refused, false)
		}
	}
	if err != nil {
		r.incomplete.Store(true)
		r.metrics.lost.Inc()
		r.log.Debug("history_write_failed", "webhooks", len(batch), "err", err) // repeated each second while Redis is away, of which the operator is told once elsewhere
	}
}

// push is the call of the script for one webhook.
type push struct {
	keys []string
	args []any
}

// apply sends a batch in one round trip. It returns the calls that a server refused because it does not know the script,
// and the first error.
func (r *Recent) apply(ctx context.Context, calls []push, anew bool) (refused []push, err error) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	answers, err := r.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, call := range calls {
			p.EvalSha(ctx, pushScript.Hash(), call.keys, call.args...)
		}
		if anew {
			p.Set(ctx, r.keys.since(), now, 0)
		} else {
			p.SetNX(ctx, r.keys.since(), now, 0)
		}
		return nil
	})
	for i := range min(len(calls), len(answers)) {
		if redis.HasErrorPrefix(answers[i].Err(), "NOSCRIPT") {
			refused = append(refused, calls[i])
		}
	}
	return refused, err
}

func (k keys) push(t *tally) push {
	call := push{keys: []string{k.all(t.uid), k.failed(t.uid)}, args: []any{kept, seconds(keptFor)}}
	for _, in := range []*ring{&t.all, &t.failed} {
		call.args = append(call.args, len(in.entries))
		in.each(func(e *entry) { call.args = append(call.args, e.encode()) })
	}
	for i := range t.minutes {
		m := &t.minutes[i]
		for _, g := range [...]grain{byMinute, byHour} {
			unix := m.minute * 60
			call.keys = append(call.keys, k.counts(t.uid, g, g.groupOf(unix)))
			at := len(call.args) + 1
			call.args = append(call.args, seconds(g.ttl()), 0)
			step, n := strconv.FormatInt(g.stepOf(unix), 10)+".", 0
			m.fields(func(name string, value int64) {
				call.args = append(call.args, step+name, value)
				n++
			})
			call.args[at] = n
		}
	}
	return call
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// encode is the entry as the list holds it: the form of the topic, with less of the response.
func (e *entry) encode() []byte {
	e.attempt.Response = preview(e.response, keptResponse)
	text, err := json.Marshal(&e.attempt)
	if err != nil {
		panic("history: attempt: " + err.Error()) // strings, numbers and a time of this century
	}
	return text
}
