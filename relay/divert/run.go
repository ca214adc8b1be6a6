package divert

import (
	"context"
	"errors"
	"fmt"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/jobs"
)

// deleteMost is how many entries a job deletes at one tick before it saves its progress.
const deleteMost = 10_000

const (
	// jobPatience is how long a job may wait, for a webhook that stays suspended for example, until it is given up.
	jobPatience = jobs.Retention
	// registryLag is how long a webhook that is not known may be one that was only just made, by another process.
	registryLag = time.Minute
)

// jobStep is what is to be done about a job at a tick.
type jobStep int

const (
	stepWait jobStep = iota
	stepRun
	stepCancel
	stepFail
)

// nextStep decides for a job that is not finished. why is for stepFail.
func nextStep(j jobs.Job, webhook *catalog.Webhook, active bool, now time.Time) (step jobStep, why string) {
	last := j.Created
	if j.Progress.Updated.After(last) {
		last = j.Progress.Updated
	}
	switch {
	case !j.CancelRequested.IsZero():
		return stepCancel, ""
	case j.Kind == jobs.KindDelete:
		return stepRun, ""
	case webhook == nil && now.Sub(j.Created) > registryLag:
		return stepFail, "the webhook was deleted; its diverted events stay listed until the retention ends and are not sent"
	case active:
		return stepRun, ""
	case now.Sub(last) > jobPatience:
		return stepFail, fmt.Sprintf("the webhook was suspended or disabled for %v; resend again when it is active", jobPatience)
	default:
		return stepWait, ""
	}
}

// openJobs are the jobs to carry out, and whether there are some to forget.
func (s *Store) openJobs() (open []jobs.Job, outdated bool) {
	if s.o.Jobs == nil {
		return nil, false
	}
	for _, j := range s.o.Jobs.Open() {
		if j.Kind == jobs.KindResend || j.Kind == jobs.KindDelete {
			open = append(open, j)
		}
	}
	return open, s.o.Jobs.Outdated(time.Now())
}

// runJobs carries each job one step further, the oldest first. The progress of a step is saved after everything in it
// was acknowledged, so that whoever goes on after a crash repeats one step at most: entries that it already deleted or
// took to the retry topics are found to be so, and those whose resend was written without its marker are sent twice.
func (w *sweeper) runJobs(ctx context.Context) error {
	s := w.s
	if w.term == nil {
		term, err := s.o.Jobs.Take(ctx)
		if err != nil {
			return err
		}
		w.term = term
	}
	if err := w.term.Forget(ctx, time.Now()); err != nil {
		w.lost(ctx, err)
		return err
	}
	open, _ := s.openJobs()
	var failed []error
	for _, j := range open {
		if held, err := w.lock(ctx); err != nil || !held {
			w.resign()
			return errors.Join(append(failed, err)...)
		}
		// Half of a tick is for jobs, so that drains keep their pace.
		if err := w.runJob(ctx, j, s.o.SweepEvery/time.Duration(2*len(open))); err != nil {
			failed = append(failed, fmt.Errorf("job %s: %w", j.ID, err))
		}
		if w.term == nil || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// keep renews the lock in the middle of something long.
func (w *sweeper) keep(ctx context.Context) error {
	held, err := w.lock(ctx)
	if err == nil && !held {
		err = fmt.Errorf("the sweeper's lock was lost: %w", jobs.ErrFenced)
	}
	return err
}

// lost gives the term up after an error of it. The lock is left to whoever has taken over.
func (w *sweeper) lost(ctx context.Context, err error) {
	w.resign()
	if errors.Is(err, jobs.ErrFenced) {
		w.unlock(ctx)
	}
}

func (w *sweeper) runJob(ctx context.Context, j jobs.Job, patience time.Duration) error {
	s := w.s
	_, webhook, active := s.active(j.Selection.UID)
	step, why := nextStep(j, webhook, active, time.Now())
	switch step {
	case stepCancel:
		return w.finish(ctx, j, j.Progress, jobs.StateCancelled, "")
	case stepFail:
		return w.finish(ctx, j, j.Progress, jobs.StateFailed, why)
	case stepWait:
		return nil
	}
	if _, used := w.next[j.Selection.UID]; used && j.Kind == jobs.KindResend {
		return nil // a webhook gets one batch a tick, whoever asks for more
	}
	x, err := s.walk(ctx, j.Definition)
	if err != nil {
		return err
	}
	p := j.Progress
	if p.State == "" {
		p = jobs.Progress{State: jobs.StateRunning, Started: time.Now()}
		if p.Selected, err = x.count(ctx, func() error { return w.keep(ctx) }); err != nil {
			return err
		}
		if err := w.save(ctx, j, p); err != nil {
			return err
		}
	}
	before := p
	end, err := w.advance(ctx, x, webhook, &p, patience)
	if unsaved := errors.Join(context.Cause(ctx), s.reach(crashUnsaved)); unsaved != nil {
		return errors.Join(unsaved, err)
	}
	switch {
	case end && err == nil:
		return w.finish(ctx, j, p, jobs.StateFinished, "")
	case p != before:
		return errors.Join(err, w.save(ctx, j, p))
	default:
		return err
	}
}

// advance does one tick's work of a job and moves p to where it came. end: nothing is left.
func (w *sweeper) advance(ctx context.Context, x *walk, webhook *catalog.Webhook, p *jobs.Progress, patience time.Duration) (end bool, err error) {
	s, until := w.s, time.Now().Add(patience)
	left := deleteMost
	if x.job.Kind == jobs.KindResend {
		if left, err = s.room(ctx, x.partition, webhook.UID); err != nil {
			return false, err
		}
		left = min(left, w.budget(webhook.UID))
	}
	for left > 0 {
		part, err := x.next(ctx, p.Position, min(left, maxPage))
		if err != nil {
			return false, err
		}
		// Counts and position move together, and only after the acknowledgements.
		after, blocked := *p, false
		if x.job.Kind == jobs.KindResend {
			blocked, err = w.resendPart(ctx, x, webhook, &part, &after)
		} else {
			err = s.deletePart(ctx, part.entries, &after)
		}
		if err != nil {
			return false, err
		}
		*p = after
		p.Position = part.position
		left -= len(part.entries)
		switch {
		case blocked:
			return false, nil
		case part.end:
			return true, nil
		case time.Now().After(until) || s.o.Jobs.Cancelled(x.job.ID):
			return false, nil
		}
	}
	return false, nil
}

// resendPart resends the entries of a part. blocked: somebody else, or a runner that died, holds a claim on one; the
// part ends before it, and the next tick tries again: nothing is passed over. Such a claim ends after claimFor.
func (w *sweeper) resendPart(ctx context.Context, x *walk, webhook *catalog.Webhook, part *stretch, p *jobs.Progress) (blocked bool, err error) {
	s := w.s
	plain := make([]Entry, 0, len(part.entries))
	under := int64(0)
	for _, e := range part.entries {
		if e.State == StateResending {
			under++ // by this job before a crash, or by somebody else: what was asked for is happening
			continue
		}
		plain = append(plain, e)
	}
	claimed, err := s.claimAll(ctx, append([]Entry(nil), plain...))
	if err != nil {
		return false, err
	}
	if i := firstUnclaimed(plain, claimed); i < len(plain) {
		blocked = true
		s.unclaim(ctx, claimed[i:]...)
		claimed = claimed[:i]
		// Go on right before it: behind the one that precedes it in the part, if any does.
		under, part.position = 0, p.Position
		for _, e := range part.entries {
			if e.DeliveryID == plain[i].DeliveryID {
				break
			}
			if e.State == StateResending {
				under++
			}
			part.position = positionOf(e)
		}
		part.end = false
	}
	if len(claimed) == 0 {
		p.Done += under
		return blocked, nil
	}
	b, err := s.resendAll(ctx, x.partition, webhook, claimed, causeJob)
	if b.resent > 0 {
		w.spent(webhook.UID)
	}
	if err != nil {
		return blocked, err
	}
	p.Done += under + int64(b.resent+b.under)
	p.Failed += int64(b.unreadable)
	return blocked, nil
}

// firstUnclaimed is the index of the first of all that is not in claimed, which is in the same order.
func firstUnclaimed(all, claimed []Entry) int {
	for i := range all {
		if i >= len(claimed) || claimed[i].DeliveryID != all[i].DeliveryID {
			return i
		}
	}
	return len(all)
}

// deletePart removes the entries and returns when that is durable. Those that are being resent are removed too, as when
// one is deleted: the delivery under way may still be sent, and is diverted again should it fail.
func (s *Store) deletePart(ctx context.Context, entries []Entry, p *jobs.Progress) error {
	if err := s.removeAll(ctx, entries); err != nil {
		return err
	}
	p.Done += int64(len(entries))
	return nil
}

// removeAll writes the tombstones of the entries and waits until all are acknowledged.
func (s *Store) removeAll(ctx context.Context, entries []Entry) error {
	acks := make(chan struct{}, len(entries)) // has room for all, so that no acknowledgement waits
	for _, e := range entries {
		s.chains.begin()
		s.remove(e.Key(), func() { acks <- struct{}{}; s.chains.end() })
	}
	for range entries {
		select {
		case <-acks:
		case <-ctx.Done():
			return fmt.Errorf("remove %d diverted events: %w", len(entries), context.Cause(ctx))
		}
	}
	return nil
}

func (w *sweeper) save(ctx context.Context, j jobs.Job, p jobs.Progress) error {
	p.Updated = time.Now()
	err := w.term.Save(ctx, j.ID, p)
	if err != nil {
		w.lost(ctx, err)
	}
	return err
}

// finish saves the last progress of a job.
func (w *sweeper) finish(ctx context.Context, j jobs.Job, p jobs.Progress, state jobs.State, why string) error {
	p.State, p.Error, p.Finished = state, why, time.Now()
	if err := w.save(ctx, j, p); err != nil {
		return err
	}
	w.s.metrics.jobs.WithLabelValues(string(j.Kind), string(state)).Inc()
	w.s.log.Info("job_ended", "job", j.ID, "kind", string(j.Kind), "uid", j.Selection.UID, "state", string(state),
		"selected", p.Selected, "done", p.Done, "failed", p.Failed, "reason", why)
	return nil
}
