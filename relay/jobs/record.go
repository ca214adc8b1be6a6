package jobs

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

const (
	// IDPrefix begins the id of every job.
	IDPrefix       = "job_"
	progressSuffix = "/progress"
	cancelSuffix   = "/cancel"
	barrierKey     = "barrier"
)

var idGrammar = regexp.MustCompile(`^job_[A-Za-z0-9_-]{1,64}$`)

// part is which of a job's records one is.
type part int

const (
	partNone part = iota // not a job's
	partDefinition
	partProgress
	partCancel
)

// parseKey tells the records of jobs from those of others in the same topic.
func parseKey(key string) (id string, p part) {
	id, p = key, partDefinition
	if rest, ok := strings.CutSuffix(key, progressSuffix); ok {
		id, p = rest, partProgress
	} else if rest, ok := strings.CutSuffix(key, cancelSuffix); ok {
		id, p = rest, partCancel
	}
	if !idGrammar.MatchString(id) {
		return "", partNone
	}
	return id, p
}

// cancelRecord is the value of job_…/cancel.
type cancelRecord struct {
	At time.Time `json:"at"`
}

// change is what a record says: a part of a job, nil where the record is a tombstone.
type change struct {
	id         string
	part       part
	definition *Definition
	progress   *Progress
	cancelled  time.Time
}

// decode reads a record. A record of others is a change of partNone. Errors match relay.ErrBadRecord.
func decode(rec *kgo.Record) (change, error) {
	id, p := parseKey(string(rec.Key))
	c := change{id: id, part: p}
	if p == partNone || rec.Value == nil {
		return c, nil
	}
	var err error
	switch p {
	case partDefinition:
		c.definition = new(Definition)
		if err = json.Unmarshal(rec.Value, c.definition); err == nil && (c.definition.Tenant == "" || c.definition.Selection.UID == "") {
			err = fmt.Errorf("tenant or uid is missing")
		}
		c.definition.ID = id
	case partProgress:
		c.progress = new(Progress)
		err = json.Unmarshal(rec.Value, c.progress)
	case partCancel:
		var r cancelRecord
		err = json.Unmarshal(rec.Value, &r)
		c.cancelled = r.At
	}
	if err != nil {
		return change{}, fmt.Errorf("job record %s: %w: %v", rec.Key, relay.ErrBadRecord, err)
	}
	return c, nil
}

func record(topic, key string, v any) *kgo.Record {
	value, err := json.Marshal(v)
	if err != nil { // strings, numbers and times of this millennium cannot fail
		panic("jobs: " + err.Error())
	}
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: value}
}

func definitionRecord(topic string, d Definition) *kgo.Record { return record(topic, d.ID, d) }

func progressRecord(topic, id string, p Progress) *kgo.Record {
	return record(topic, id+progressSuffix, p)
}

func cancelRequest(topic, id string, at time.Time) *kgo.Record {
	return record(topic, id+cancelSuffix, cancelRecord{At: at})
}

// tombstones of everything that a job has; the definition first, so that whoever reads only some of them sees no job
// rather than one that has not begun.
func tombstones(topic, id string) []*kgo.Record {
	recs := make([]*kgo.Record, 0, 3)
	for _, key := range []string{id, id + progressSuffix, id + cancelSuffix} {
		recs = append(recs, &kgo.Record{Topic: topic, Key: []byte(key)})
	}
	return recs
}
